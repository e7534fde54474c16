"""Images go to a real registry, signed, and come back; what is wrong is refused with a reason."""

import gzip
import io
import json
import os
import random
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rules.diff.tests.images import Item, Layout, tar
from rules.publish import verification
from rules.publish.__main__ import main
from rules.publish.cosign import SPDX, Cosign, cosign
from rules.publish.error import PublishError
from tests.supply_chain.registry import Registry, credentials, cut, faulty, program, registry

CRANE = str(Path(os.environ["CRANE"]).absolute())
REAL = Path(os.environ["IMAGE"]).absolute()
# What a person may wait for after a change of one line.
LITTLE = 200_000

Push = Callable[..., int]


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    with registry(folder) as found:
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "cert.pem"))
        monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "docker", found.place)))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
        monkeypatch.setenv("COSIGN_PASSWORD", "words")
        yield found


def crane(*arguments: str) -> str:
    done = subprocess.run([CRANE, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def index(folder: Path, content: str = "1") -> Path:
    """A small index of two images."""
    layout = Layout(folder)
    images = [
        layout.image([tar([Item("app", content + cpu)])], architecture=cpu)
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


def push(layout: Path, place: str, *arguments: str) -> int:
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
    return main([*fixed, "--repository", f"{place}/hello", *arguments])


def test_the_first_push_sends_all_and_prints_the_digest(
    running: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(REAL, running.place, "--tag=v1", "--tag=latest") == 0

    root, images = digests(REAL)
    assert capsys.readouterr().out == f"{running.place}/hello@{root}\n"
    assert crane("digest", f"{running.place}/hello:v1") == root
    assert crane("digest", f"{running.place}/hello:latest") == root
    assert running.blobs().keys() >= {each[7:] for each in (root, *images.values())}


def test_a_second_push_sends_no_blob(running: Registry) -> None:
    push(REAL, running.place, "--tag=v1")
    before, uploads = running.blobs(), running.uploads()

    assert push(REAL, running.place, "--tag=v1") == 0

    assert uploads > 0
    assert (running.blobs(), running.uploads()) == (before, uploads)


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


def test_a_change_of_one_line_sends_little(running: Registry, tmp_path: Path) -> None:
    push(REAL, running.place)
    before = running.blobs()

    assert push(changed(REAL, tmp_path / "changed"), running.place) == 0

    new = running.blobs().keys() - before.keys()
    assert 0 < sum(running.blobs()[digest] for digest in new) <= LITTLE


def test_a_wrong_password_is_refused(
    running: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    wrong = credentials(tmp_path / "wrong", running.place, "guessed")
    monkeypatch.setenv("DOCKER_CONFIG", str(wrong))

    assert push(index(tmp_path / "index"), running.place, "--tag=v1") == 1

    said = capfd.readouterr()
    assert "401 Unauthorized" in said.err
    assert "No tag was moved" in said.err
    assert "guessed" not in said.out + said.err
    assert running.blobs() == {}


def test_an_unknown_authority_is_refused(
    running: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/cert.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other/cert.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "other"))

    assert push(index(tmp_path / "index"), running.place) == 1

    assert "certificate signed by unknown authority" in capfd.readouterr().err
    assert running.blobs() == {}


def test_a_registry_that_only_reads_is_told_apart(
    running: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    running.stop()
    running.readonly = True
    running.start()

    assert push(index(tmp_path / "index"), running.place, "--tag=v1") == 1

    assert "405" in capfd.readouterr().err
    assert running.blobs() == {}


def test_a_push_that_broke_off_is_repeated(
    running: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:

    def kill() -> None:
        running.stop(signal.SIGKILL)

    with cut(running.port, 1_000_000, kill) as proxy:
        place = f"127.0.0.1:{proxy}"
        monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "cut", place)))
        assert push(REAL, place, "--tag=v1") == 1
    assert "run the same command once more" in capfd.readouterr().err

    running.start()
    monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "docker", running.place)))
    with pytest.raises(subprocess.CalledProcessError):
        crane("digest", f"{running.place}/hello:v1")
    assert push(REAL, running.place, "--tag=v1") == 0
    assert crane("digest", f"{running.place}/hello:v1") == digests(REAL)[0]
    crane("validate", "--remote", f"{running.place}/hello:v1")


def test_a_full_disk_is_told_and_the_push_is_repeated_when_it_is_mended(
    running: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    running.stop()
    running.disk = 1_000_000
    running.start()
    # What does not compress: 2 MB of it do not go into 1 MB.
    large = index(tmp_path / "index", random.Random(1).randbytes(2_000_000).hex())

    assert push(large, running.place, "--tag=v1") == 1

    said = capfd.readouterr().err
    assert "run the same command once more. No tag was moved" in said
    with pytest.raises(subprocess.CalledProcessError):
        crane("digest", f"{running.place}/hello:v1")

    running.enlarge(32_000_000)
    # Room alone does not mend what docker-registry 2.8 wrote without it: docs/supply-chain.md.
    running.mend()
    assert push(large, running.place, "--tag=v1") == 0
    assert crane("digest", f"{running.place}/hello:v1") == digests(large)[0]
    crane("validate", "--remote", f"{running.place}/hello:v1")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("method", "part"), [("POST", "/blobs/uploads/"), ("PUT", "/manifests/v1")]
)
def test_a_busy_registry_is_waited_for_as_long_as_it_asks(
    running: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int,
    method: str,
    part: str,
) -> None:
    asked: list[float] = []

    def fault(command: str, path: str) -> tuple[int, str] | None:
        if command != method or not path.endswith(part):
            return None
        asked.append(time.monotonic())
        # What crane repeats by itself, it repeats within this time, and is refused again.
        return (status, "12") if asked[-1] < asked[0] + 9 else None

    layout = index(tmp_path / "index")
    with faulty(running, fault) as place:
        monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "busy", place)))
        assert push(layout, place, "--tag=v1") == 0

    said = capfd.readouterr().err
    assert "next try in 12 s\n" in said
    refused = [each for each in asked if each < asked[0] + 9]
    assert min(set(asked) - set(refused)) - refused[-1] >= 12
    # The log of requests stays with the program.
    assert "Authorization" not in said
    assert "HTTP/1.1" not in said
    monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "docker", running.place)))
    assert crane("digest", f"{running.place}/hello:v1") == digests(layout)[0]


def test_a_registry_that_asks_for_too_long_is_not_waited_for(
    running: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with faulty(running, lambda command, _: (429, "86400") if command == "POST" else None) as place:
        monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "busy", place)))
        assert push(index(tmp_path / "index"), place, "--tag=v1") == 1

    assert "the registry asks to wait for 86400 seconds" in capsys.readouterr().err
    assert running.blobs() == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tag=no tag"], "expected a tag"),
        (["--sign"], "--sign needs --key"),
        (["--key=k"], "--key is for --sign alone"),
        (["--repository=host/name:tag"], "without tag or digest"),
        (["--repository=name"], "expected a repository HOST/NAME"),
        (["--sign", "--key=nothing", "--cosign=/bin/true"], "nothing: no such key"),
    ],
)
def test_an_order_that_cannot_be_meant_sends_nothing(
    running: Registry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    assert push(index(tmp_path / "index"), running.place, *arguments) == 1

    assert reason in capsys.readouterr().err
    assert running.blobs() == {}


@pytest.fixture
def signer(tmp_path: Path, running: Registry) -> str:
    command = program("cosign", tmp_path)
    for name in ("mine", "other"):
        subprocess.run(
            [command, "generate-key-pair", f"--output-key-prefix={name}"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
    return command


def signed(layout: Path, running: Registry, signer: str, *more: str) -> int:
    return push(layout, running.place, "--sign", "--key=mine.key", f"--cosign={signer}", *more)


def verify(layout: Path, running: Registry, signer: str, key: Path) -> None:
    root, images = digests(layout)
    with cosign(signer, insecure=False) as found:
        verification.verify(found, f"{running.place}/hello", root, images, key)


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where all connections go that leave this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listening.getsockname()[1]}")
        listening.settimeout(300)
        yield listening


def test_cosign_left_to_itself_asks_others(
    running: Registry, signer: str, tmp_path: Path, trap: socket.socket
) -> None:
    layout = index(tmp_path / "index")
    push(layout, running.place)
    reference = f"{running.place}/hello@{digests(layout)[0]}"
    alone = subprocess.Popen(
        [signer, "sign", "--yes", "--key=mine.key", reference],
        cwd=tmp_path,
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
    running: Registry, signer: str, tmp_path: Path, trap: socket.socket
) -> None:
    layout = index(tmp_path / "index")

    assert signed(layout, running, signer) == 0
    verify(layout, running, signer, tmp_path / "mine.pub")

    trap.setblocking(False)
    with pytest.raises(BlockingIOError):
        trap.accept()


def test_a_signed_push_is_verified_and_discovered(
    running: Registry, signer: str, tmp_path: Path
) -> None:
    layout = index(tmp_path / "index")

    assert signed(layout, running, signer, "--tag=v1") == 0

    verify(layout, running, signer, tmp_path / "mine.pub")
    # A registry of this version lists no referrers: they are found by a tag.
    root, images = digests(layout)
    oras = program("oras", tmp_path)
    for digest, number in ((root, 2), *((each, 3) for each in images.values())):
        done = subprocess.run(
            [oras, "discover", "--format=json", f"{running.place}/hello@{digest}"],
            capture_output=True,
            check=True,
        )
        assert len(json.loads(done.stdout)["referrers"]) == number


def test_a_second_signed_push_adds_nothing(running: Registry, signer: str, tmp_path: Path) -> None:
    layout = index(tmp_path / "index")
    signed(layout, running, signer)
    before = running.blobs()

    assert signed(layout, running, signer) == 0

    assert running.blobs() == before


def test_a_key_that_others_may_read_is_refused_before_anything_is_sent(
    running: Registry, signer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.key").chmod(0o644)

    assert signed(index(tmp_path / "index"), running, signer) == 1

    assert "mine.key has mode 0644" in capsys.readouterr().err
    assert running.blobs() == {}


def test_a_wrong_passphrase_is_refused_before_anything_is_sent(
    running: Registry,
    signer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "guessed")

    assert signed(index(tmp_path / "index"), running, signer) == 1

    said = capfd.readouterr()
    assert "the key cannot be used: decrypt" in said.err
    assert "guessed" not in said.out + said.err
    assert running.blobs() == {}


def test_an_unsigned_image_is_refused(running: Registry, signer: str, tmp_path: Path) -> None:
    layout = index(tmp_path / "index")
    push(layout, running.place)

    with pytest.raises(PublishError, match="is not signed by"):
        verify(layout, running, signer, tmp_path / "mine.pub")


def test_another_key_is_refused(running: Registry, signer: str, tmp_path: Path) -> None:
    layout = index(tmp_path / "index")
    signed(layout, running, signer)

    with pytest.raises(PublishError, match=r"is not signed by .*other\.pub"):
        verify(layout, running, signer, tmp_path / "other.pub")


def test_signatures_and_attestations_of_an_older_image_are_refused(
    running: Registry, signer: str, tmp_path: Path
) -> None:
    old, new = index(tmp_path / "old", "1"), index(tmp_path / "new", "2")
    signed(old, running, signer)
    push(new, running.place)
    before, after = digests(old), digests(new)
    pairs = [(before[0], after[0]), *((before[1][cpu], after[1][cpu]) for cpu in before[1])]
    for was, now in pairs:
        tag = was.replace(":", "-")
        crane("tag", f"{running.place}/hello:{tag}", now.replace(":", "-"))

    with pytest.raises(PublishError, match="is not signed by"):
        verify(new, running, signer, tmp_path / "mine.pub")
    with (
        cosign(signer, insecure=False) as found,
        pytest.raises(PublishError, match="has no attestation spdxjson"),
    ):
        found.attested(tmp_path / "mine.pub", f"{running.place}/hello@{after[1]['amd64']}", SPDX)


def test_an_sbom_of_another_image_is_refused_though_it_is_signed(
    running: Registry, signer: str, tmp_path: Path
) -> None:
    layout = index(tmp_path / "index")
    root, images = digests(layout)
    push(layout, running.place)
    with cosign(signer, insecure=False) as found:
        for digest in (root, *images.values()):
            found.sign(str(tmp_path / "mine.key"), f"{running.place}/hello@{digest}")
            wrong = sbom(tmp_path / "wrong.json", root)
            attest(found, tmp_path, f"{running.place}/hello@{digest}", wrong)

    with pytest.raises(PublishError, match="the SBOM attached is signed, but of another image"):
        verify(layout, running, signer, tmp_path / "mine.pub")


def attest(found: Cosign, tmp_path: Path, reference: str, document: Path) -> None:
    found.attest(str(tmp_path / "mine.key"), reference, SPDX, document)


def test_an_sbom_that_was_changed_after_signing_is_refused(
    running: Registry, signer: str, tmp_path: Path
) -> None:
    layout = index(tmp_path / "index")
    signed(layout, running, signer)
    _, images = digests(layout)
    storage = running.folder / "storage/docker/registry/v2/blobs/sha256"
    bundles = [file for file in storage.glob("*/*/data") if b"dsseEnvelope" in file.read_bytes()]
    assert bundles
    for file in bundles:
        # The registry's disk is in other hands: a payload is another, its signature the old one.
        bundle = json.loads(file.read_bytes())
        payload = bundle["dsseEnvelope"]["payload"]
        bundle["dsseEnvelope"]["payload"] = payload[:-8] + "AAAA" + payload[-4:]
        file.write_text(json.dumps(bundle))

    with (
        cosign(signer, insecure=False) as found,
        pytest.raises(PublishError, match="has no attestation spdxjson"),
    ):
        found.attested(tmp_path / "mine.pub", f"{running.place}/hello@{images['amd64']}", SPDX)
