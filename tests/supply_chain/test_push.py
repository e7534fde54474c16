"""Images go to a real registry, signed, and come back; what is wrong is refused with a reason."""

import gzip
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rules.diff.tests.images import Item, Layout, tar
from rules.publish import verification
from rules.publish.__main__ import main
from rules.publish.cosign import SPDX, cosign
from rules.publish.error import PublishError
from tests.supply_chain.registry import Registry, credentials, cut, faulty, program, registry

CRANE = str(Path(os.environ["CRANE"]).absolute())
REAL = Path(os.environ["IMAGE"]).absolute()
# What a person may wait for after a change of one line.
LITTLE = 200_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("push")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Registry]:
    """One for all: each test pushes what no other does, into a repository of its own."""
    (folder / "registry").mkdir()
    with registry(folder / "registry") as found:
        yield found


def reach(patch: pytest.MonkeyPatch, place: str, found: Registry, folder: Path) -> None:
    for variable, value in found.trust().items():
        patch.setenv(variable, value)
    patch.setenv("DOCKER_CONFIG", str(credentials(folder, place)))


@pytest.fixture(scope="module", autouse=True)
def surroundings(folder: Path, running: Registry) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        reach(patch, running.place, running, folder / "docker")
        patch.setenv("HOME", str(folder))
        patch.setenv("BUILD_WORKING_DIRECTORY", str(folder))
        patch.setenv("COSIGN_PASSWORD", "words")
        yield


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry for a test that ends it, or makes it another."""
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as found:
        reach(monkeypatch, found.place, found, tmp_path / "docker")
        yield found


@pytest.fixture
def repository(running: Registry, tmp_path: Path) -> str:
    return f"{running.place}/{name(tmp_path)}"


def name(folder: Path) -> str:
    return folder.name.rstrip("_").lower()


@contextmanager
def nothing_sent(running: Registry) -> Iterator[None]:
    before = running.blobs()
    yield
    assert running.blobs() == before


def crane(*arguments: str) -> str:
    done = subprocess.run([CRANE, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def index(folder: Path, contents: Sequence[bytes] = (b"1",)) -> Path:
    """A small index of two images, with a layer for each content; no other folder has its blobs."""
    layout = Layout(folder)
    images = [
        layout.image(
            [tar([Item("app", f"{folder}{cpu}".encode() + each)]) for each in contents],
            architecture=cpu,
        )
        | {"platform": {"os": "linux", "architecture": cpu}}
        for cpu in ("amd64", "arm64")
    ]
    return layout.finish(layout.index(images))


def digests(layout: Path) -> tuple[str, dict[str, str]]:
    (root,) = json.loads((layout / "index.json").read_text())["manifests"]
    blob = layout / "blobs" / root["digest"].replace(":", "/")
    manifests = json.loads(blob.read_text())["manifests"]
    return root["digest"], {each["platform"]["architecture"]: each["digest"] for each in manifests}


def sbom(file: Path, digest: str) -> Path:
    checksum = {"algorithm": "SHA256", "checksumValue": digest.partition(":")[2]}
    file.write_text(
        json.dumps(
            {
                "spdxVersion": "SPDX-2.3",
                "packages": [{"SPDXID": "SPDXRef-Image", "checksums": [checksum]}],
            }
        )
    )
    return file


def push(layout: Path, repository: str, *arguments: str) -> int:
    folder = layout.parent / f"{layout.name}-documents"
    folder.mkdir(exist_ok=True)
    root, images = digests(layout)
    cyclonedx = folder / "cdx.json"
    cyclonedx.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    definition = {
        "buildType": "urn:test",
        "externalParameters": {},
        "resolvedDependencies": [{"name": root, "digest": {"sha256": "00"}}],
    }
    (folder / "provenance.json").write_text(
        json.dumps(
            {
                "predicate": {
                    "buildDefinition": definition,
                    "runDetails": {"builder": {"id": "urn:test"}},
                }
            }
        )
    )
    fixed = [f"--index={layout}", f"--crane={CRANE}", f"--provenance={folder}/provenance.json"]
    for cpu, digest in images.items():
        spdx = sbom(folder / f"{cpu}.spdx.json", digest)
        fixed += ["--sbom", cpu, str(spdx), str(cyclonedx)]
    return main([*fixed, "--repository", repository, *arguments])


@dataclass
class Pushed:
    """What one push has left in the registry, and has said."""

    layout: Path
    repository: str
    said: str = ""


@pytest.fixture(scope="module")
def real(running: Registry, folder: Path) -> Pushed:
    """The image that was built, which nobody else pushes."""
    (folder / "real").symlink_to(REAL)
    made = Pushed(folder / "real", f"{running.place}/real")
    with redirect_stdout(io.StringIO()) as said:
        assert push(made.layout, made.repository, "--tag=v1", "--tag=latest") == 0
    made.said = said.getvalue()
    return made


def test_the_first_push_sends_all_and_prints_the_digest(running: Registry, real: Pushed) -> None:
    root, images = digests(REAL)
    assert real.said == f"{real.repository}@{root}\n"
    assert crane("digest", f"{real.repository}:v1") == root
    assert crane("digest", f"{real.repository}:latest") == root
    assert running.blobs().keys() >= {each[7:] for each in (root, *images.values())}


def test_a_second_push_sends_no_blob(running: Registry, real: Pushed) -> None:
    before, uploads = running.blobs(), running.uploads()

    assert push(real.layout, real.repository, "--tag=v1") == 0

    assert uploads > 0
    assert (running.blobs(), running.uploads()) == (before, uploads)


def test_a_digest_that_cannot_be_printed_is_told_and_the_image_is_there(
    repository: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever asked takes it from standard output."""
    layout = index(tmp_path / "layout")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert push(layout, repository) == 1
    reference = f"{repository}@{digests(layout)[0]}"
    assert f"ERROR: {reference} is pushed; that could not be printed: " in capsys.readouterr().err
    assert crane("digest", reference) == digests(layout)[0]


def changed(layout: Path, folder: Path) -> Path:
    """The same index with one line more in a source of each image's uppermost layer."""
    made = Layout(folder)
    (folder / "blobs/sha256").mkdir(parents=True)
    for blob in (layout / "blobs/sha256").iterdir():
        (folder / "blobs/sha256" / blob.name).symlink_to(blob.resolve())

    def document(digest: str) -> Any:
        return json.loads((folder / "blobs" / digest.replace(":", "/")).read_bytes())

    root, _ = digests(layout)
    value = document(root)
    for number, descriptor in enumerate(value["manifests"]):
        manifest = document(descriptor["digest"])
        upper = manifest["layers"][-1]
        plain = gzip.decompress((folder / "blobs" / upper["digest"].replace(":", "/")).read_bytes())
        layer = made.blob(gzip.compress(edited(plain), mtime=0), mediaType=upper["mediaType"])
        manifest["layers"][-1] = layer
        config = document(manifest["config"]["digest"])
        config["rootfs"]["diff_ids"][-1] = "sha256:" + "0" * 64
        manifest["config"] |= made.document(config)
        value["manifests"][number] = descriptor | made.document(manifest)
    described = made.document(value, mediaType=value["mediaType"])
    return made.finish(described)


def edited(plain: bytes) -> bytes:
    out = io.BytesIO()
    done = False
    with (
        tarfile.open(fileobj=io.BytesIO(plain)) as source,
        tarfile.open(fileobj=out, mode="w") as to,
    ):
        for member in source:
            stream = source.extractfile(member)
            content = stream.read() if stream else b""
            if member.name.endswith(".py") and not done:
                content, done = content + b"CHANGED = True\n", True
                member.size = len(content)
            to.addfile(member, io.BytesIO(content))
    assert done
    return out.getvalue()


def test_a_change_of_one_line_sends_little(running: Registry, real: Pushed, tmp_path: Path) -> None:
    before = running.blobs()

    assert push(changed(REAL, tmp_path / "changed"), real.repository) == 0

    new = running.blobs().keys() - before.keys()
    assert 0 < sum(running.blobs()[digest] for digest in new) <= LITTLE


def test_a_wrong_password_is_refused(
    running: Registry,
    repository: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    wrong = credentials(tmp_path / "wrong", running.place, password="guessed")
    monkeypatch.setenv("DOCKER_CONFIG", str(wrong))

    with nothing_sent(running):
        assert push(index(tmp_path / "index"), repository, "--tag=v1") == 1

    said = capfd.readouterr()
    assert "401 Unauthorized" in said.err
    assert "No tag was moved" in said.err
    assert "guessed" not in said.out + said.err


def test_an_unknown_authority_is_refused(
    running: Registry,
    repository: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/cert.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other/cert.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "other"))

    with nothing_sent(running):
        assert push(index(tmp_path / "index"), repository) == 1

    assert "certificate signed by unknown authority" in capfd.readouterr().err


def test_a_registry_that_only_reads_is_told_apart(
    own: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own.stop()
    own.readonly = True
    own.start()

    assert push(index(tmp_path / "index"), f"{own.place}/hello", "--tag=v1") == 1

    assert "405" in capfd.readouterr().err
    assert own.blobs() == {}


def test_a_push_that_broke_off_is_repeated(
    own: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Layers that do not compress: when it breaks off, some are there and some are under way.
    layers = [random.Random(number).randbytes(300_000) for number in range(8)]
    large = index(tmp_path / "index", layers)

    def kill() -> None:
        own.stop(signal.SIGKILL)

    with cut(own.port, 1_000_000, kill) as proxy:
        place = f"127.0.0.1:{proxy}"
        monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "cut", place)))
        assert push(large, f"{place}/hello", "--tag=v1") == 1
    assert "run the same command once more" in capfd.readouterr().err

    own.start()
    monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "docker", own.place)))
    with pytest.raises(subprocess.CalledProcessError):
        crane("digest", f"{own.place}/hello:v1")
    assert push(large, f"{own.place}/hello", "--tag=v1") == 0
    assert crane("digest", f"{own.place}/hello:v1") == digests(large)[0]
    crane("validate", "--remote", f"{own.place}/hello:v1")


def test_a_full_disk_is_told_and_the_push_is_repeated_when_it_is_mended(
    own: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own.stop()
    own.disk = 1_000_000
    own.start()
    # What does not compress: 2 MB of it do not go into 1 MB.
    large = index(tmp_path / "index", [random.Random(1).randbytes(2_000_000)])

    assert push(large, f"{own.place}/hello", "--tag=v1") == 1

    said = capfd.readouterr().err
    assert "run the same command once more. No tag was moved" in said
    with pytest.raises(subprocess.CalledProcessError):
        crane("digest", f"{own.place}/hello:v1")

    own.enlarge(32_000_000)
    # Room alone does not mend what docker-registry 2.8 wrote without it: docs/supply-chain.md.
    own.mend()
    assert push(large, f"{own.place}/hello", "--tag=v1") == 0
    assert crane("digest", f"{own.place}/hello:v1") == digests(large)[0]
    crane("validate", "--remote", f"{own.place}/hello:v1")


class Busy:
    """A registry's fault: for nine seconds it refuses one kind of request, and asks for twelve.

    What crane repeats by itself, it repeats within this time, and is refused again.
    """

    def __init__(self, method: str, part: str, status: int) -> None:
        self._method = method
        self._part = part
        self._status = status
        self._asked: list[float] = []

    def __call__(self, method: str, path: str) -> tuple[int, str] | None:
        if method != self._method or not path.endswith(self._part):
            return None
        self._asked.append(time.monotonic())
        return (self._status, "12") if self._asked[-1] < self._asked[0] + 9 else None

    @property
    def waited(self) -> float:
        """Seconds from the last one that was refused to the first one that was not."""
        refused = [each for each in self._asked if each < self._asked[0] + 9]
        return min(set(self._asked) - set(refused)) - refused[-1]


def test_a_busy_registry_is_waited_for_as_long_as_it_asks(
    running: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    requests = [("POST", "/blobs/uploads/"), ("PUT", "/manifests/v1")]
    faults = [Busy(*request, status) for request in requests for status in (429, 503)]

    # All at once: they do little but wait.
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        places = [stack.enter_context(faulty(running, fault)) for fault in faults]
        monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "busy", *places)))
        layouts = [index(tmp_path / f"index-{number}") for number in range(len(faults))]
        pushed = [
            pool.submit(push, layout, f"{place}/{name(layout)}", "--tag=v1")
            for layout, place in zip(layouts, places, strict=True)
        ]

    assert [each.result() for each in pushed] == [0] * len(faults)
    said = capfd.readouterr().err
    assert said.count("next try in 12 s") == len(faults)
    assert min(fault.waited for fault in faults) >= 12
    # The log of requests stays with the program.
    assert "Authorization" not in said
    assert "HTTP/1.1" not in said


def test_a_registry_that_asks_for_too_long_is_not_waited_for(
    running: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        nothing_sent(running),
        faulty(running, lambda command, _: (429, "86400") if command == "POST" else None) as place,
    ):
        monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "busy", place)))
        assert push(index(tmp_path / "index"), f"{place}/{name(tmp_path)}") == 1

    assert "the registry asks to wait for 86400 seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tag=no tag"], "expected a tag"),
        (["--tag=é"], "expected a tag"),
        (["--repository=me:secret@host/name"], "got ...@host/name. "),
        (["--sign"], "--sign needs --key"),
        (["--key=k"], "--key is for --sign alone"),
        (["--repository=host/name:tag"], "without tag or digest"),
        (["--repository=name"], "expected a repository HOST/NAME"),
        (["--sign", "--key=nothing", "--cosign=/bin/true"], "nothing: no such key"),
    ],
)
def test_an_order_that_cannot_be_meant_sends_nothing(
    running: Registry,
    repository: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    with nothing_sent(running):
        assert push(index(tmp_path / "index"), repository, *arguments) == 1

    said = capsys.readouterr().err
    assert reason in said
    assert "secret" not in said


@pytest.fixture(scope="module")
def signer(folder: Path, surroundings: None) -> str:
    command = program("cosign", folder)
    for key in ("mine", "other"):
        subprocess.run(
            [command, "generate-key-pair", f"--output-key-prefix={key}"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return command


def signed(layout: Path, repository: str, signer: str, *more: str) -> int:
    return push(layout, repository, "--sign", "--key=mine.key", f"--cosign={signer}", *more)


def verify(pushed: Pushed, signer: str, key: Path) -> None:
    root, images = digests(pushed.layout)
    with cosign(signer, insecure=False) as found:
        verification.verify(found, pushed.repository, root, images, key)


@contextmanager
def trapped() -> Iterator[socket.socket]:
    """Where all connections go that leave this machine."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listening.getsockname()[1]}")
        listening.settimeout(300)
        yield listening


@pytest.fixture(scope="module")
def once(running: Registry, signer: str, folder: Path) -> tuple[Pushed, bool]:
    """A push that was signed, and whether anybody but the registry was asked meanwhile.

    Each cosign that signs takes a quarter of a second to make a key of the passphrase.
    """
    made = Pushed(index(folder / "signed"), f"{running.place}/signed")
    with trapped() as trap:
        assert signed(made.layout, made.repository, signer, "--tag=v1") == 0
        return made, was_asked(trap)


def was_asked(trap: socket.socket) -> bool:
    trap.setblocking(False)
    try:
        trap.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def published(running: Registry, once: tuple[Pushed, bool], repository: str) -> Pushed:
    """What was signed, in a repository of its own."""
    made, _ = once
    here = running.repository(repository.rpartition("/")[2])
    shutil.copytree(running.repository("signed"), here)
    return Pushed(made.layout, repository)


def test_cosign_left_to_itself_asks_others(
    repository: str, signer: str, folder: Path, tmp_path: Path
) -> None:
    layout = index(tmp_path / "index")
    push(layout, repository)
    with trapped() as trap:
        alone = subprocess.Popen(
            [signer, "sign", "--yes", "--key=mine.key", f"{repository}@{digests(layout)[0]}"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # It waits: whoever is asked does not answer.
            trap.accept()[0].close()
        finally:
            alone.kill()
            alone.wait()


def test_signing_and_verifying_ask_nobody_but_the_registry(
    once: tuple[Pushed, bool], published: Pushed, signer: str, folder: Path
) -> None:
    _, asked = once
    assert not asked

    with trapped() as trap:
        verify(published, signer, folder / "mine.pub")
        assert not was_asked(trap)


def test_a_signed_push_is_verified_and_discovered(
    published: Pushed, signer: str, folder: Path, tmp_path: Path
) -> None:
    verify(published, signer, folder / "mine.pub")
    # A registry of this version lists no referrers: they are found by a tag.
    root, images = digests(published.layout)
    oras = program("oras", tmp_path)
    for digest, number in ((root, 2), *((each, 3) for each in images.values())):
        done = subprocess.run(
            [oras, "discover", "--format=json", f"{published.repository}@{digest}"],
            capture_output=True,
            check=True,
        )
        assert len(json.loads(done.stdout)["referrers"]) == number


def test_a_second_signed_push_adds_nothing(
    running: Registry, published: Pushed, signer: str
) -> None:
    with nothing_sent(running):
        assert signed(published.layout, published.repository, signer) == 0


def test_a_key_that_others_may_read_is_refused_before_anything_is_sent(
    running: Registry,
    repository: str,
    signer: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copyfile(folder / "mine.key", tmp_path / "mine.key")
    (tmp_path / "mine.key").chmod(0o644)
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))

    with nothing_sent(running):
        assert signed(index(tmp_path / "index"), repository, signer) == 1

    assert "mine.key has mode 0644" in capsys.readouterr().err


def test_a_wrong_passphrase_is_refused_before_anything_is_sent(
    running: Registry,
    repository: str,
    signer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "guessed")

    with nothing_sent(running):
        assert signed(index(tmp_path / "index"), repository, signer) == 1

    said = capfd.readouterr()
    assert "the key cannot be used: decrypt" in said.err
    assert "guessed" not in said.out + said.err


def test_an_unsigned_image_is_refused(
    repository: str, signer: str, folder: Path, tmp_path: Path
) -> None:
    layout = index(tmp_path / "index")
    push(layout, repository)

    with pytest.raises(PublishError, match="is not signed by"):
        verify(Pushed(layout, repository), signer, folder / "mine.pub")


def test_another_key_is_refused(published: Pushed, signer: str, folder: Path) -> None:
    with pytest.raises(PublishError, match=r"is not signed by .*other\.pub"):
        verify(published, signer, folder / "other.pub")


def test_signatures_and_attestations_of_an_older_image_are_refused(
    published: Pushed, signer: str, folder: Path, tmp_path: Path
) -> None:
    new = Pushed(index(tmp_path / "new"), published.repository)
    push(new.layout, new.repository)
    before, after = digests(published.layout), digests(new.layout)
    pairs = [(before[0], after[0]), *((before[1][cpu], after[1][cpu]) for cpu in before[1])]
    for was, now in pairs:
        tag = was.replace(":", "-")
        crane("tag", f"{new.repository}:{tag}", now.replace(":", "-"))

    with pytest.raises(PublishError, match="is not signed by"):
        verify(new, signer, folder / "mine.pub")
    with (
        cosign(signer, insecure=False) as found,
        pytest.raises(PublishError, match="has no attestation spdxjson"),
    ):
        found.attested(folder / "mine.pub", f"{new.repository}@{after[1]['amd64']}", SPDX)


def test_an_sbom_of_another_image_is_refused_though_it_is_signed(
    repository: str, signer: str, folder: Path, tmp_path: Path
) -> None:
    layout = index(tmp_path / "index")
    root, images = digests(layout)
    push(layout, repository)
    wrong = sbom(tmp_path / "wrong.json", root)
    with cosign(signer, insecure=False) as found:
        for digest in (root, *images.values()):
            found.sign(str(folder / "mine.key"), f"{repository}@{digest}")
        for digest in images.values():
            found.attest(str(folder / "mine.key"), f"{repository}@{digest}", SPDX, wrong)

    with pytest.raises(PublishError, match="the SBOM attached is signed, but of another image"):
        verify(Pushed(layout, repository), signer, folder / "mine.pub")


def test_an_sbom_that_was_changed_after_signing_is_refused(
    running: Registry, published: Pushed, signer: str, folder: Path
) -> None:
    _, images = digests(published.layout)

    with (
        running.tampered(),
        cosign(signer, insecure=False) as found,
        pytest.raises(PublishError, match="has no attestation spdxjson"),
    ):
        found.attested(folder / "mine.pub", f"{published.repository}@{images['amd64']}", SPDX)
