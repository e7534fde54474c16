"""What a structure test asks for is read strictly."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.oci.filesystem import Entry, Filesystem
from tests.oci.layout import Configuration
from tests.oci.samples import file, folder, link
from tests.structure import specification
from tests.structure.specification import Specification, SpecificationError

IMAGE = Configuration(
    os="linux",
    architecture="amd64",
    user="1:1",
    entrypoint=["/x"],
    command=[],
    environment={"A": "1", "PLACE": "/etc"},
    working_directory="/w",
    exposed_ports=["80/tcp"],
    volumes=["/v"],
    labels={"k": "v-1"},
    stop_signal="SIGTERM",
)
FILES = Filesystem(
    [
        folder("/etc"),
        file("/etc/x", b"one\ntwo\n", 0o640, uid=3, gid=4),
        file("/etc/setuid", mode=0o4755),
        link("/link", "etc/x"),
        link("/lib", "etc"),
        folder("/tmp", 0o1777),
    ]
)


def read(where: Path, **keys: Any) -> Specification:
    path = where / "test.yaml"
    path.write_text(json.dumps({"schemaVersion": "2.0.0", **keys}))
    return specification.read(path)


def existence(where: Path, **keys: Any) -> list[str]:
    content = read(where, fileExistenceTests=[{"name": "n", **keys}])
    return list(content.file_existence_tests[0].problems(FILES, IMAGE.environment))


def contents(where: Path, **keys: Any) -> list[str]:
    content = read(where, fileContentTests=[{"name": "n", **keys}])
    return list(content.file_content_tests[0].problems(FILES, IMAGE.environment))


def metadata(where: Path, **keys: Any) -> list[str]:
    test = read(where, metadataTest=keys).metadata_test
    assert test
    return list(test.problems(IMAGE))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"fileExistTests": []}, "fileExistTests: is not a key that is known here"),
        ({"licenseTests": []}, "licenseTests: is not a key that is known here"),
        ({"metadataTest": {"usr": "x"}}, "metadataTest.usr: is not a key that is known here"),
        ({"commandTests": [{"name": "n"}]}, "commandTests.0.command: is missing"),
        ({"commandTests": [{"name": "n", "command": "x", "exitCode": "1"}]}, "exitCode: "),
        ({"fileExistenceTests": [{"name": "", "path": "/"}]}, "fileExistenceTests.0.name: "),
        (
            {"fileContentTests": [{"name": "n", "path": "/", "expectedContents": ["("]}]},
            "fileContentTests.0.expectedContents.0: '(' is no regular expression",
        ),
        (
            {"fileContentTests": [{"name": "n", "path": "/", "expectedContents": ["[[:digit:]]"]}]},
            "POSIX classes",
        ),
        ({"schemaVersion": "1.0.0"}, "schemaVersion: "),
    ],
)
def test_what_is_not_known_is_an_error_that_says_where(
    tmp_path: Path, keys: dict[str, Any], expected: str
) -> None:
    with pytest.raises(SpecificationError) as raised:
        read(tmp_path, **keys)

    assert str(raised.value).startswith(f"{tmp_path}/test.yaml: ")
    assert expected in str(raised.value)


@pytest.mark.parametrize("text", ["[", "- a", "text", ""])
def test_what_is_no_mapping_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test.yaml"
    path.write_text(text)

    with pytest.raises(SpecificationError, match=str(path)):
        specification.read(path)


def test_the_schemas_version_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "test.yaml"
    path.write_text("metadataTest: {}\n")

    with pytest.raises(SpecificationError, match="schemaVersion: is missing"):
        specification.read(path)


def test_a_path_that_is_there_is_well(tmp_path: Path) -> None:
    well = {"permissions": "-rw-r-----", "uid": 3, "gid": 4}

    assert existence(tmp_path, path="/etc/x", **well) == []
    assert existence(tmp_path, path="/lib/x", **well) == []
    assert existence(tmp_path, path="$PLACE/x") == []
    assert existence(tmp_path, path="/") == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"path": "/y"}, "/y: does not exist"),
        ({"path": "/etc/x", "shouldExist": False}, "/etc/x: exists"),
        ({"path": "/etc/x", "uid": 0}, "/etc/x: expected uid 0, got 3"),
        ({"path": "/etc/x", "gid": 0}, "/etc/x: expected gid 0, got 4"),
        (
            {"path": "/etc/x", "permissions": "-rw-------"},
            "/etc/x: expected permissions -rw-------, got -rw-r-----",
        ),
        (
            {"path": "/etc/x", "isExecutableBy": "any"},
            "/etc/x: expected to be executable by any, got -rw-r-----",
        ),
    ],
)
def test_a_path_that_is_different_is_not(
    tmp_path: Path, keys: dict[str, Any], expected: str
) -> None:
    assert existence(tmp_path, **keys) == [expected]


def test_a_path_that_should_be_absent_is_well_without(tmp_path: Path) -> None:
    assert existence(tmp_path, path="/y", shouldExist=False, permissions="-rw-------") == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (file("/x", mode=0o644), "-rw-r--r--"),
        (file("/x", mode=0o4755), "urwxr-xr-x"),
        (folder("/x"), "drwxr-xr-x"),
        (folder("/x", 0o1777), "dtrwxrwxrwx"),
        (link("/x", "y"), "Lrwxrwxrwx"),
    ],
)
def test_modes_are_printed_as_go_does(entry: Entry, expected: str) -> None:
    assert specification.permissions(entry) == expected


def test_contents_match_through_links(tmp_path: Path) -> None:
    assert contents(tmp_path, path="/link", expectedContents=["^one", "tw."]) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"path": "/y"}, "/y: does not exist"),
        ({"path": "/etc"}, "/etc: is a directory"),
        (
            {"path": "/etc/x", "expectedContents": ["three"]},
            "/etc/x: expected a match of 'three', got 'one\\ntwo\\n'",
        ),
        (
            {"path": "/etc/x", "excludedContents": ["t.o"]},
            "/etc/x: expected no match of 't.o', got 'two'",
        ),
    ],
)
def test_contents_that_differ_are_found(
    tmp_path: Path, keys: dict[str, Any], expected: str
) -> None:
    assert contents(tmp_path, **keys) == [expected]


def test_metadata_as_expected_is_well(tmp_path: Path) -> None:
    assert not metadata(
        tmp_path,
        envVars=[{"key": "A", "value": "1"}],
        env=[{"key": "PLACE", "value": "^/", "isRegex": True}],
        unboundEnvVars=[{"key": "B"}],
        labels=[{"key": "k", "value": r"^v-\d$", "isRegex": True}],
        entrypoint=["/x"],
        cmd=[],
        exposedPorts=["80", "80/tcp"],
        unexposedPorts=["22"],
        volumes=["/v"],
        unmountedVolumes=["/u"],
        workdir="/w",
        user="1:1",
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"envVars": [{"key": "A", "value": "2"}]}, "variable A: expected '2', got '1'"),
        ({"envVars": [{"key": "B", "value": "2"}]}, "variable B: is not set"),
        ({"unboundEnvVars": [{"key": "A"}]}, "variable A: expected none, got '1'"),
        (
            {"labels": [{"key": "k", "value": "w", "isRegex": True}]},
            "label k: expected a match of 'w', got 'v-1'",
        ),
        ({"labels": [{"key": "k", "value": "v"}]}, "label k: expected 'v', got 'v-1'"),
        ({"entrypoint": []}, "entrypoint: expected [], got ['/x']"),
        ({"cmd": ["y"]}, "cmd: expected ['y'], got []"),
        ({"exposedPorts": ["81"]}, "port 81: expected, got only 80, 80/tcp"),
        ({"unexposedPorts": ["80"]}, "port 80: not expected"),
        ({"volumes": ["/u"]}, "volume /u: expected, got only /v"),
        ({"unmountedVolumes": ["/v"]}, "volume /v: not expected"),
        ({"workdir": "/"}, "workdir: expected '/', got '/w'"),
        ({"user": "0"}, "user: expected '0', got '1:1'"),
    ],
)
def test_metadata_that_differ_are_found(
    tmp_path: Path, keys: dict[str, Any], expected: str
) -> None:
    assert metadata(tmp_path, **keys) == [expected]


def test_a_commands_exit_code_and_output_are_compared(tmp_path: Path) -> None:
    keys = {
        "expectedOutput": ["^a"],
        "excludedOutput": ["b"],
        "expectedError": ["c"],
        "excludedError": ["d"],
    }
    (test,) = read(tmp_path, commandTests=[{"name": "n", "command": "x", **keys}]).command_tests

    assert list(test.problems(0, "a", "c")) == []
    assert list(test.problems(1, "b", "d")) == [
        "expected exit code 0, got 1",
        "output: expected a match of '^a', got 'b'",
        "output: expected no match of 'b', got 'b'",
        "error: expected a match of 'c', got 'd'",
        "error: expected no match of 'd', got 'd'",
    ]


def test_variables_are_substituted() -> None:
    assert specification.substituted("$A/${B}/$C", {"A": "1", "B": "2"}) == "1/2/"
