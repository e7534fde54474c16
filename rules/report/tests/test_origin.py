"""How an image came to be is read from its provenance, and from no other's."""

import json
from pathlib import Path
from typing import Any

import pytest

from rules.report import origin
from rules.report.error import ReportError
from rules.report.tests import samples
from rules.report.tests.samples import Built


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return samples.build(tmp_path / "built")


def test_what_was_built_and_of_how_much_is_counted(built: Built) -> None:
    found = origin.read(built.provenance, built.digest)

    assert (found.target, found.options, found.bazel) == ("//hello:index", (), "7.7.1")
    assert (found.debs, found.wheels) == (2, 1)
    assert found.locks == (("image/lock.json", "sha256:aa"),)
    assert found.label("verify") == "//hello:verify"


def test_a_build_that_is_no_release_states_no_commit(built: Built) -> None:
    assert origin.read(built.provenance, built.digest).revision == ""


def test_a_release_states_its_commit_and_where_that_is(built: Built) -> None:
    statement: Any = json.loads(built.provenance.read_text())
    statement["predicate"]["buildDefinition"]["resolvedDependencies"].append(
        {"name": "sources", "digest": {"gitCommit": "c0ffee"}, "uri": "git+https://example.org/a"}
    )
    built.provenance.write_text(json.dumps(statement))

    found = origin.read(built.provenance, built.digest)

    assert (found.revision, found.source) == ("c0ffee", "git+https://example.org/a")
    assert found.locks == (("image/lock.json", "sha256:aa"),)


def test_provenance_of_another_index_is_refused(built: Built) -> None:
    with pytest.raises(
        ReportError, match=f"expected provenance of sha256:0, got that of {built.digest}"
    ):
        origin.read(built.provenance, "sha256:0")


@pytest.mark.parametrize("text", ["", "[]", '{"subject": 1}', "{}"])
def test_what_is_no_provenance_is_refused(built: Built, text: str) -> None:
    built.provenance.write_text(text)

    with pytest.raises(ReportError, match="expected SLSA provenance"):
        origin.read(built.provenance, built.digest)
