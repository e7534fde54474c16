"""Builders that do not know each other rebuild an image, sign that, and are counted."""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rules.diff.tests.images import Item, Layout, tar
from rules.publish.cosign import PROVENANCE, cosign
from rules.publish.error import PublishError
from rules.verify.__main__ import REVISION, main
from rules.verify.kept import tag
from rules.verify.statement import REBUILD
from tests.supply_chain.registry import Registry, credentials, program, registry

CRANE = str(Path(os.environ["CRANE"]).absolute())
NAMES = ("a", "b", "c")
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.test"))
}

Verify = Callable[..., int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rebuilders")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Registry]:
    (folder / "registry").mkdir()
    with registry(folder / "registry") as found:
        yield found


@pytest.fixture(scope="module")
def signer(folder: Path) -> str:
    command = program("cosign", folder)
    for name in NAMES:
        subprocess.run(
            [command, "generate-key-pair", f"--output-key-prefix={name}"],
            cwd=folder,
            env=os.environ | {"COSIGN_PASSWORD": "words", "HOME": str(folder)},
            check=True,
            capture_output=True,
        )
    return command


@pytest.fixture(autouse=True)
def surroundings(
    folder: Path, running: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(running.folder / "cert.pem"))
    monkeypatch.setenv("DOCKER_CONFIG", str(credentials(tmp_path / "docker", running.place)))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(folder))
    monkeypatch.setenv("COSIGN_PASSWORD", "words")


def git(folder: Path, *arguments: str) -> str:
    environment = os.environ | IDENTITY | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources of all of them, at one commit."""
    made = tmp_path / "checkout"
    made.mkdir()
    git(made, "init", "-q")
    git(made, "commit", "-q", "--allow-empty", "-m", "First")
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(made))
    return made


class Image:
    """A pushed index, and what one gets who builds it again."""

    def __init__(self, place: str, folder: Path, content: str, revision: str = "") -> None:
        layout = Layout(folder)
        labels = {REVISION: revision} if revision else {}
        images = [
            layout.image(
                [tar([Item("app", content)])],
                architecture=cpu,
                config={"config": {"Labels": labels}},
            )
            | {"platform": {"os": "linux", "architecture": cpu}}
            for cpu in ("amd64", "arm64")
        ]
        self.layout = layout.finish(layout.index(images))
        (root,) = json.loads((self.layout / "index.json").read_text())["manifests"]
        self.digest: str = root["digest"]
        self.repository = f"{place}/{folder.parent.name.rstrip('_').lower()}"
        self.reference = f"{self.repository}:{folder.name}"
        done = subprocess.run(
            [CRANE, "push", str(self.layout), self.reference], capture_output=True, check=True
        )
        assert self.digest in done.stdout.decode()


@pytest.fixture
def image(running: Registry, tmp_path: Path) -> Image:
    return Image(running.place, tmp_path / "built", "1")


@pytest.fixture
def verify(signer: str, image: Image) -> Verify:
    def call(*arguments: str, of: Image = image, built: Image = image, cosign: str = signer) -> int:
        fixed = [f"--built={built.layout}", "--target=//image:index", f"--crane={CRANE}"]
        return main([*fixed, f"--cosign={cosign}", of.reference, *arguments])

    return call


def attest(verify: Verify, names: Sequence[str], **images: Image) -> None:
    for name in names:
        assert verify("--attest", f"--key={name}.key", **images) == 0


def fetched(*arguments: str) -> str:
    done = subprocess.run([CRANE, *arguments], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def move(reference: str, name: str) -> None:
    fetched("tag", reference, name)


def keys(*names: str) -> list[str]:
    return ["--keys", ",".join(f"{name}.pub" for name in names)]


def test_two_of_three_builders_are_enough_and_one_is_not(
    verify: Verify, checkout: Path, image: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    attest(verify, ["a"])
    assert verify("--require=2", *keys(*NAMES)) == 1
    assert "Refused: 1 of 3 builders" in capsys.readouterr().out

    attest(verify, ["b"])
    assert "Attested: signed and attached.\n" in capsys.readouterr().out
    assert verify("--require=2", *keys(*NAMES)) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Agreed: 2 of 3 builders have rebuilt {image.repository}, 2 required\n")
    assert f"  digest    {image.digest}\n" in said
    assert f"  revision  {git(checkout, 'rev-parse', 'HEAD')}\n" in said
    assert "  a.pub: has signed it\n  b.pub: has signed it\n" in said
    assert "  c.pub: has signed no rebuild of this digest (" in said
    assert verify("--require=3", *keys(*NAMES)) == 1


def test_two_statements_by_one_key_count_once(
    verify: Verify, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attest(verify, ["a", "a"])
    assert "Attested before, by the same key." in capsys.readouterr().out
    git(checkout, "commit", "-q", "--allow-empty", "-m", "Second")
    attest(verify, ["a"])
    assert verify("--require=2", *keys(*NAMES)) == 1
    assert verify("--require=1", *keys(*NAMES)) == 0


def test_one_key_under_two_names_is_not_two_builders(
    verify: Verify, checkout: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "again.pub").write_text((folder / "a.pub").read_text().replace("\n", "\r\n"))
    attest(verify, ["a"])
    assert verify("--require=2", *keys("a", "again")) == 2
    assert "expected as many different keys, got 1" in capsys.readouterr().err


def test_a_rebuild_of_another_revision_does_not_count(
    verify: Verify, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    attest(verify, ["a", "b"])
    git(checkout, "commit", "-q", "--allow-empty", "-m", "Second")
    attest(verify, ["c"])
    assert verify("--require=2", *keys(*NAMES)) == 0
    assert verify("--require=3", *keys(*NAMES)) == 1
    second = git(checkout, "rev-parse", "HEAD")
    assert f"c.pub: has signed a rebuild of another revision: {second}\n" in capsys.readouterr().out
    assert verify("--require=2", *keys(*NAMES), "--revision", first) == 0
    assert verify("--require=2", *keys(*NAMES), "--revision", second) == 1


def test_the_revision_that_a_release_states_is_the_one_that_counts(
    verify: Verify, checkout: Path, running: Registry, tmp_path: Path
) -> None:
    release = Image(running.place, tmp_path / "release", "1", revision="0" * 40)
    attest(verify, ["a", "b"], of=release, built=release)
    assert verify("--require=1", *keys(*NAMES), of=release) == 1


def test_statements_about_another_image_do_not_count(
    verify: Verify,
    checkout: Path,
    image: Image,
    running: Registry,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody who may write to the registry shows an older image's statements for a new one."""
    newer = Image(running.place, tmp_path / "newer", "2")
    assert newer.repository == image.repository
    attest(verify, ["a", "b"])
    old, new = (each.digest.replace(":", "-") for each in (image, newer))
    move(f"{image.repository}:{old}", new)
    for name in ("a", "b"):
        public = folder / f"{name}.pub"
        move(f"{image.repository}:{tag(public, image.digest)}", tag(public, newer.digest))

    assert verify("--require=1", *keys(*NAMES), of=newer) == 1
    assert "a.pub: has signed no rebuild of this digest" in capsys.readouterr().out


def test_a_statement_that_was_changed_does_not_count(
    verify: Verify,
    checkout: Path,
    image: Image,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody who may push makes of a statement about one commit one about another."""
    attest(verify, ["a"])
    name = f"{image.repository}:{tag(folder / 'a.pub', image.digest)}"
    manifest = json.loads(fetched("manifest", name))
    (layer,) = manifest["layers"]
    bundle = json.loads(fetched("blob", f"{image.repository}@{layer['digest']}"))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    (sources, *_) = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    sources["digest"]["gitCommit"] = "0" * 40
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    changed = Layout(tmp_path / "changed")
    changed.blob(b"{}")
    manifest["layers"] = [layer | changed.document(bundle)]
    changed.finish(changed.document(manifest, mediaType=manifest["mediaType"]))
    fetched("push", str(tmp_path / "changed"), name)

    assert verify("--require=1", *keys("a"), "--revision", "0" * 40) == 1
    assert "a.pub: has signed it" not in capsys.readouterr().out


def test_a_statement_whose_bytes_are_not_those_that_were_pushed_does_not_count(
    verify: Verify, checkout: Path, running: Registry
) -> None:
    attest(verify, ["a"])
    revision = git(checkout, "rev-parse", "HEAD")
    storage = running.folder / "storage/docker/registry/v2/blobs/sha256"
    for file in storage.glob("*/*/data"):
        content = file.read_bytes()
        if b"dsseEnvelope" in content:
            bundle = json.loads(content)
            payload = bundle["dsseEnvelope"]["payload"]
            bundle["dsseEnvelope"]["payload"] = payload[:-8] + "AAAA" + payload[-4:]
            file.write_text(json.dumps(bundle))
    assert verify("--require=1", *keys(*NAMES), "--revision", revision) == 1


def listing(image: Image) -> str:
    """The tag at which a registry without the referrers API has the list of them."""
    return image.digest.replace(":", "-")


def test_of_builders_who_write_the_list_at_once_each_counts(
    verify: Verify, checkout: Path, image: Image
) -> None:
    """Two have read the same list: who writes last takes the other from it."""
    attest(verify, ["a"])
    name = f"{image.repository}:{listing(image)}"
    before = fetched("digest", name)
    attest(verify, ["b"])
    move(f"{image.repository}@{before}", listing(image))

    assert verify("--require=2", *keys(*NAMES)) == 0


def test_three_builders_attest_in_one_moment_and_none_is_lost(
    verify: Verify, checkout: Path
) -> None:
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(verify, "--attest", f"--key={name}.key") for name in NAMES]
    assert [each.result() for each in made] == [0, 0, 0]
    assert verify("--require=3", *keys(*NAMES)) == 0


@pytest.mark.parametrize(
    "arguments", [["--attest", "--key=a.key"], ["--require=1", "--keys=a.pub"]]
)
def test_a_tag_that_moves_meanwhile_says_nothing_of_either_image(
    verify: Verify,
    checkout: Path,
    image: Image,
    running: Registry,
    signer: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    newer = Image(running.place, tmp_path / "newer", "2")
    moving = tmp_path / "cosign"
    name = f"{image.repository}@{newer.digest}"
    moving.write_text(f'#!/bin/sh\n{CRANE} tag {name} built\nexec {signer} "$@"\n')
    moving.chmod(0o755)
    before = running.blobs()

    assert verify(*arguments, cosign=str(moving)) == 2

    said = capsys.readouterr()
    assert f"{image.digest} at the start, and names {newer.digest} now" in said.err
    assert "Agreed" not in said.out
    assert running.blobs() == before


def test_a_manifest_that_was_changed_at_the_registry_is_refused(
    verify: Verify,
    checkout: Path,
    image: Image,
    running: Registry,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attest(verify, ["a"])
    value = image.digest[7:]
    file = running.folder / f"storage/docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data"
    kept = file.read_bytes()
    image.reference = f"{image.repository}@{image.digest}"
    try:
        file.write_bytes(kept.replace(b"amd64", b"amd65"))
        assert verify("--require=1", *keys(*NAMES)) == 2
        assert verify("--attest", "--key=b.key") == 2
        assert verify() == 2
    finally:
        file.write_bytes(kept)
    said = capsys.readouterr()
    assert "Agreed" not in said.out
    assert image.digest in said.err
    assert verify("--require=2", *keys(*NAMES)) == 1


def test_what_differs_is_not_attested(
    verify: Verify,
    checkout: Path,
    running: Registry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = Image(running.place, tmp_path / "other", "2")
    before = running.blobs()
    assert verify("--attest", "--key=a.key", built=other) == 1
    assert "Not attested: nothing was signed." in capsys.readouterr().out
    assert running.blobs() == before


def test_a_checkout_with_changes_attests_nothing(
    verify: Verify, checkout: Path, running: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "changed").touch()
    before = running.blobs()
    assert verify("--attest", "--key=a.key") == 2
    assert "with changes that are not committed" in capsys.readouterr().err
    assert running.blobs() == before


def test_a_rebuild_is_not_provenance_nor_the_other_way_round(
    verify: Verify, checkout: Path, image: Image, signer: str, folder: Path
) -> None:
    attest(verify, ["a"])
    reference = f"{image.repository}@{image.digest}"
    with cosign(signer, insecure=False) as found:
        assert found.attested(folder / "a.pub", reference, REBUILD)
        with pytest.raises(PublishError, match="has no attestation slsaprovenance1"):
            found.attested(folder / "a.pub", reference, PROVENANCE)


def test_builders_that_attest_one_after_the_other_are_found_by_others_programs(
    verify: Verify, checkout: Path, image: Image, folder: Path
) -> None:
    attest(verify, NAMES)
    oras = program("oras", folder)
    done = subprocess.run(
        [oras, "discover", "--format=json", f"{image.repository}@{image.digest}"],
        capture_output=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["referrers"]) == len(NAMES)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--require=2"], "--require N needs --keys"),
        (["--keys=a.pub"], "--keys is for --require alone"),
        (["--require=0", "--keys=a.pub"], "expected a number from 1, got 0"),
        (["--require=1", "--keys=a.pub", "--key=a.pub"], "not together with --key"),
        (["--attest"], "--attest needs --key"),
    ],
)
def test_options_that_cannot_be_meant_together_are_refused(
    verify: Verify,
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    with pytest.raises(SystemExit) as caught:
        verify(*arguments)
    assert caught.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--require=2", "--keys=a.pub"], "expected as many different keys, got 1"),
        (["--require=1", "--keys=none.pub"], "none.pub: no such public key"),
        (["--require=1", "--keys=a.key"], "this is a private one"),
        (["--attest", "--key=none.key"], "none.key: no such key"),
        (["--attest", "--key=a.pub"], "the key cannot be used"),
    ],
)
def test_keys_that_cannot_be_used_are_named(
    verify: Verify,
    checkout: Path,
    folder: Path,
    running: Registry,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    (folder / "a.pub").chmod(0o600)
    before = running.blobs()
    assert verify(*arguments) == 2
    assert reason in capsys.readouterr().err
    assert running.blobs() == before


def test_a_private_key_that_others_may_read_signs_nothing(
    verify: Verify, checkout: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.key").chmod(0o640)
    try:
        assert verify("--attest", "--key=c.key") == 2
    finally:
        (folder / "c.key").chmod(0o600)
    assert "c.key has mode 0640" in capsys.readouterr().err


def test_a_wrong_passphrase_signs_nothing_and_is_not_said(
    verify: Verify,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "guessed")
    assert verify("--attest", "--key=a.key") == 2
    said = capfd.readouterr()
    assert "the key cannot be used: decrypt" in said.err
    assert "guessed" not in said.out + said.err


def test_a_layout_has_no_place_for_statements(
    verify: Verify, checkout: Path, image: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    image.reference = str(image.layout)
    assert verify("--attest", "--key=a.key") == 2
    assert "expected a reference REGISTRY/NAME:TAG" in capsys.readouterr().err
    assert verify("--require=1", "--keys=a.pub") == 2


def test_a_registry_that_is_down_proves_nothing(
    verify: Verify, checkout: Path, running: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    running.stop()
    try:
        assert verify("--require=1", *keys(*NAMES)) == 2
        assert "the registry is down" in capsys.readouterr().err
        assert verify("--attest", "--key=a.key") == 2
    finally:
        running.start()
