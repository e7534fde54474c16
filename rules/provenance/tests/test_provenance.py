"""A statement says what was built of what, and of a release also of which commit."""

import hashlib
import json
from pathlib import Path
from typing import Any

from rules.provenance import __main__ as program
from rules.provenance.statement import resource

REVISION = "org.opencontainers.image.revision"


def layout(folder: Path, labels: dict[str, str]) -> Path:
    (folder / "blobs/sha256").mkdir(parents=True)

    def blob(value: Any) -> dict[str, Any]:
        text = json.dumps(value).encode()
        digest = hashlib.sha256(text).hexdigest()
        (folder / "blobs/sha256" / digest).write_bytes(text)
        return {"digest": f"sha256:{digest}"}

    images = [
        blob({"config": blob({"config": {"Labels": labels}, "architecture": cpu})})
        | {"platform": {"architecture": cpu, "os": "linux"}}
        for cpu in ("amd64", "arm64")
    ]
    (folder / "index.json").write_text(json.dumps({"manifests": [blob({"manifests": images})]}))
    return folder


def sbom(file: Path, **archives: str) -> Path:
    packages = [
        {
            "SPDXID": f"SPDXRef-{name}",
            "name": name,
            "checksums": [{"algorithm": "SHA256", "checksumValue": value}],
            "externalRefs": [{"referenceLocator": f"pkg:pypi/{name}@1", "referenceType": "purl"}],
        }
        for name, value in archives.items()
    ]
    relations = [
        {
            "spdxElementId": "SPDXRef-Image",
            "relatedSpdxElement": f"SPDXRef-{name}",
            "relationshipType": "CONTAINS",
        }
        for name in archives
        if name != "built_in"
    ]
    file.write_text(json.dumps({"packages": packages, "relationships": relations}))
    return file


def statement(tmp_path: Path, labels: dict[str, str]) -> Any:
    (tmp_path / "bazelversion").write_text("7.7.1\n")
    (tmp_path / "lock").write_text("locked")
    arguments = [
        f"--index={layout(tmp_path / 'index', labels)}",
        "--name=hello",
        "--target=//hello:index",
        f"--sbom={sbom(tmp_path / 'amd64', one='a' * 64, two='b' * 64, built_in='c' * 64)}",
        f"--sbom={sbom(tmp_path / 'arm64', one='a' * 64, two='d' * 64)}",
        *("--lock", "some/lock", str(tmp_path / "lock")),
        f"--bazel={tmp_path / 'bazelversion'}",
        f"--output={tmp_path / 'output'}",
    ]
    return program.provenance(program._arguments().parse_args(arguments))


def dependencies(said: Any) -> list[Any]:
    found: list[Any] = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    return found


def test_subjects_are_named_by_service_and_cpu(tmp_path: Path) -> None:
    names = [each["name"] for each in statement(tmp_path, {})["subject"]]

    assert names == ["hello", "hello-amd64", "hello-arm64"]


def test_each_archive_is_a_dependency_once_and_what_is_built_into_one_is_none(
    tmp_path: Path,
) -> None:
    said = dependencies(statement(tmp_path, {}))

    hashes = [each["digest"]["sha256"][0] for each in said if "uri" in each]
    assert sorted(hashes) == ["a", "b", "d"]


def test_a_lock_is_a_dependency(tmp_path: Path) -> None:
    lock = hashlib.sha256(b"locked").hexdigest()

    assert {"name": "some/lock", "digest": {"sha256": lock}} in dependencies(
        statement(tmp_path, {})
    )


def test_a_release_names_its_commit_and_was_built_as_one(tmp_path: Path) -> None:
    said = statement(tmp_path, {REVISION: "0123abc"})

    assert dependencies(said)[0] == {"name": "sources", "digest": {"gitCommit": "0123abc"}}
    parameters = said["predicate"]["buildDefinition"]["externalParameters"]
    assert parameters == {"target": "//hello:index", "options": ["--config=release"]}


def test_another_build_names_none(tmp_path: Path) -> None:
    assert "sources" not in [each["name"] for each in dependencies(statement(tmp_path, {}))]


def test_a_resource_has_a_uri_only_where_one_is_known() -> None:
    assert resource("a", "sha256:00") == {"name": "a", "digest": {"sha256": "00"}}
    assert resource("a", "sha256:00", "pkg:a/b")["uri"] == "pkg:a/b"
