"""Builders that do not know each other rebuild an image, sign that, and are counted."""

import base64
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
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
    # One and the same time: all who make the first commit make the same.
    for what, value in (
        ("NAME", "Ann"),
        ("EMAIL", "ann@example.test"),
        ("DATE", "2026-01-01T00:00:00Z"),
    )
}

Verify = Callable[..., int]
Attested = Callable[[str], str]


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


@pytest.fixture(scope="module", autouse=True)
def surroundings(folder: Path, running: Registry) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in running.trust().items():
            patch.setenv(variable, value)
        patch.setenv("DOCKER_CONFIG", str(credentials(folder / "docker", running.place)))
        patch.setenv("HOME", str(folder))
        patch.setenv("BUILD_WORKING_DIRECTORY", str(folder))
        patch.setenv("COSIGN_PASSWORD", "words")
        yield


def git(folder: Path, *arguments: str) -> str:
    environment = os.environ | IDENTITY | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def sources(folder: Path) -> Path:
    """The sources of all of them, at one commit."""
    made = folder / "sources"
    made.mkdir()
    git(made, "init", "-q")
    git(made, "commit", "-q", "--allow-empty", "-m", "First")
    return made


@pytest.fixture
def checkout(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "checkout"
    shutil.copytree(sources, made)
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(made))
    return made


@dataclass
class Image:
    """A pushed index of one image, and what one gets who builds it again."""

    layout: Path
    digest: str
    repository: str
    reference: str


def named(folder: Path) -> str:
    return folder.name.rstrip("_").lower()


def pushed(place: str, folder: Path, content: str, revision: str = "") -> Image:
    layout = Layout(folder)
    labels = {REVISION: revision} if revision else {}
    image = layout.image([tar([Item("app", content)])], config={"config": {"Labels": labels}}) | {
        "platform": {"os": "linux", "architecture": "amd64"}
    }
    layout.finish(layout.index([image]))
    (root,) = json.loads((folder / "index.json").read_text())["manifests"]
    repository = f"{place}/{named(folder.parent)}"
    reference = f"{repository}:{folder.name}"
    done = subprocess.run([CRANE, "push", str(folder), reference], capture_output=True, check=True)
    assert root["digest"] in done.stdout.decode()
    return Image(folder, root["digest"], repository, reference)


def verifier(signer: str, image: Image) -> Verify:
    def call(*arguments: str, of: Image = image, built: Image = image, cosign: str = signer) -> int:
        fixed = [f"--built={built.layout}", "--target=//image:index", f"--crane={CRANE}"]
        return main([*fixed, f"--cosign={cosign}", of.reference, *arguments])

    return call


@pytest.fixture(scope="module")
def original(running: Registry, folder: Path) -> Image:
    made = pushed(running.place, folder / "built", "1")
    shutil.copytree(running.repository(named(folder)), folder / "pushed")
    return made


@pytest.fixture
def image(running: Registry, folder: Path, original: Image, tmp_path: Path) -> Image:
    """The same in a repository of its own, where nobody has attested."""
    shutil.copytree(folder / "pushed", running.repository(named(tmp_path)))
    repository = f"{running.place}/{named(tmp_path)}"
    return Image(original.layout, original.digest, repository, f"{repository}:built")


@pytest.fixture
def verify(signer: str, image: Image) -> Verify:
    return verifier(signer, image)


@dataclass
class Stage:
    """What is in the repository when a builder has attested, and what he was told."""

    repository: Path
    said: str


@pytest.fixture(scope="module")
def stages(
    running: Registry, folder: Path, original: Image, signer: str, sources: Path
) -> Mapping[str, Stage]:
    """One builder after the other attests: a, ab, abc.

    For each of them cosign makes a key of the passphrase twice, which takes it half a second.
    """
    made: dict[str, Stage] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUILD_WORKSPACE_DIRECTORY", str(sources))
        for number, name in enumerate(NAMES, 1):
            with redirect_stdout(io.StringIO()) as said:
                attest(verifier(signer, original), [name])
            stage = "".join(NAMES[:number])
            copied = shutil.copytree(running.repository(named(folder)), folder / f"stage-{stage}")
            made[stage] = Stage(copied, said.getvalue())
    return made


@pytest.fixture
def attested(
    running: Registry, stages: Mapping[str, Stage], image: Image, tmp_path: Path
) -> Attested:
    def call(stage: str) -> str:
        """Makes it what it is when these have attested; returns what the last of them was told."""
        repository = running.repository(named(tmp_path))
        shutil.rmtree(repository)
        shutil.copytree(stages[stage].repository, repository)
        return stages[stage].said

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
    verify: Verify,
    attested: Attested,
    checkout: Path,
    image: Image,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attested("a")
    assert verify("--require=2", *keys(*NAMES)) == 1
    assert "Refused: 1 of 3 builders" in capsys.readouterr().out

    assert "Attested: signed and attached.\n" in attested("ab")
    assert verify("--require=2", *keys(*NAMES)) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Agreed: 2 of 3 builders have rebuilt {image.repository}, 2 required\n")
    assert f"  digest    {image.digest}\n" in said
    assert f"  revision  {git(checkout, 'rev-parse', 'HEAD')}\n" in said
    assert "  a.pub: has signed it\n  b.pub: has signed it\n" in said
    assert "  c.pub: has signed no rebuild of this digest (" in said
    assert verify("--require=3", *keys(*NAMES)) == 1


def test_two_statements_by_one_key_count_once(
    verify: Verify, attested: Attested, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attested("a")
    attest(verify, ["a"])
    assert "Attested before, by the same key." in capsys.readouterr().out
    git(checkout, "commit", "-q", "--allow-empty", "-m", "Second")
    attest(verify, ["a"])
    assert verify("--require=2", *keys(*NAMES)) == 1
    assert verify("--require=1", *keys(*NAMES)) == 0


def test_one_key_under_two_names_is_not_two_builders(
    verify: Verify,
    attested: Attested,
    checkout: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "again.pub").write_text((folder / "a.pub").read_text().replace("\n", "\r\n"))
    attested("a")
    assert verify("--require=2", *keys("a", "again")) == 2
    assert "expected as many different keys, got 1" in capsys.readouterr().err


def test_a_rebuild_of_another_revision_does_not_count(
    verify: Verify, attested: Attested, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    attested("ab")
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
    release = pushed(running.place, tmp_path / "release", "1", revision="0" * 40)
    attest(verify, ["a", "b"], of=release, built=release)
    assert verify("--require=1", *keys(*NAMES), of=release) == 1


def test_statements_about_another_image_do_not_count(
    verify: Verify,
    attested: Attested,
    checkout: Path,
    image: Image,
    running: Registry,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody who may write to the registry shows an older image's statements for a new one."""
    attested("ab")
    newer = pushed(running.place, tmp_path / "newer", "2")
    assert newer.repository == image.repository
    old, new = (each.digest.replace(":", "-") for each in (image, newer))
    move(f"{image.repository}:{old}", new)
    for name in ("a", "b"):
        public = folder / f"{name}.pub"
        move(f"{image.repository}:{tag(public, image.digest)}", tag(public, newer.digest))

    assert verify("--require=1", *keys(*NAMES), of=newer) == 1
    assert "a.pub: has signed no rebuild of this digest" in capsys.readouterr().out


def test_a_statement_that_was_changed_does_not_count(
    verify: Verify,
    attested: Attested,
    checkout: Path,
    image: Image,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody who may push makes of a statement about one commit one about another."""
    attested("a")
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
    verify: Verify, attested: Attested, checkout: Path, running: Registry
) -> None:
    attested("a")
    revision = git(checkout, "rev-parse", "HEAD")
    with running.tampered():
        assert verify("--require=1", *keys(*NAMES), "--revision", revision) == 1


def listing(image: Image) -> str:
    """The tag at which a registry without the referrers API has the list of them."""
    return image.digest.replace(":", "-")


def test_of_builders_who_write_the_list_at_once_each_counts(
    verify: Verify, attested: Attested, checkout: Path, image: Image
) -> None:
    """Two have read the same list: who writes last takes the other from it."""
    attested("a")
    name = f"{image.repository}:{listing(image)}"
    before = fetched("digest", name)
    attested("ab")
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
    newer = pushed(running.place, tmp_path / "newer", "2")
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
    attested: Attested,
    checkout: Path,
    image: Image,
    running: Registry,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attested("a")
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
    other = pushed(running.place, tmp_path / "other", "2")
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
    verify: Verify, attested: Attested, checkout: Path, image: Image, signer: str, folder: Path
) -> None:
    attested("a")
    reference = f"{image.repository}@{image.digest}"
    with cosign(signer, insecure=False) as found:
        assert found.attested(folder / "a.pub", reference, REBUILD)
        with pytest.raises(PublishError, match="has no attestation slsaprovenance1"):
            found.attested(folder / "a.pub", reference, PROVENANCE)


def test_builders_that_attest_one_after_the_other_are_found_by_others_programs(
    attested: Attested, image: Image, folder: Path
) -> None:
    attested("".join(NAMES))
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
