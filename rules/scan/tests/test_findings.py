"""Each rule of OSV's format has a hit and a near miss."""

from typing import Any

import pytest

from rules.scan import findings, osv
from rules.scan.findings import Finding
from rules.scan.packages import Package


def wheel(version: str, name: str = "one") -> Package:
    return Package("PyPI", name, version, f"pkg:pypi/{name}@{version}", name, version)


def deb(version: str, release: str = "13") -> Package:
    return Package("Debian", "libone1", version, "pkg:deb/debian/libone1", "one", version, release)


def advisory(
    *events: dict[str, str], ecosystem: str = "PyPI", name: str = "one", **more: Any
) -> dict[str, Any]:
    affected = {"package": {"ecosystem": ecosystem, "name": name}}
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {
        "id": "GHSA-1",
        "modified": "2026-11-01T00:00:00Z",
        "affected": [affected | {"ranges": ranges} | more.pop("about", {})],
    } | more


def find(package: Package, *advisories: dict[str, Any]) -> list[Finding]:
    return findings.find([package], [osv.read(each, "here") for each in advisories])


SINCE = {"introduced": "0"}


@pytest.mark.parametrize(
    ("version", "hit"),
    [
        ("1.0", True),
        ("1.9", True),
        ("2.0rc1", True),
        ("2.0.dev1", True),
        ("2.0", False),
        ("2.0.0", False),
        ("2.0.post1", False),
        ("1!0.1", False),
        ("1.9+local", True),
    ],
)
def test_versions_of_wheels_are_ordered_as_pep_440_says(version: str, hit: bool) -> None:
    found = find(wheel(version), advisory(SINCE, {"fixed": "2.0"}))

    assert bool(found) is hit
    assert [each.fixed for each in found] == ["2.0"] * hit


@pytest.mark.parametrize(
    ("version", "hit"),
    [
        ("2.0-1", True),
        ("2.0-2~deb13u1", True),
        ("2.0~rc1-9", True),
        ("2.0-2", False),
        ("2.0-2+deb13u1", False),
        ("1:0.1-1", False),
    ],
)
def test_versions_of_debian_packages_are_ordered_as_dpkg_does(version: str, hit: bool) -> None:
    about = advisory(SINCE, {"fixed": "2.0-2"}, ecosystem="Debian:13")

    assert bool(find(deb(version), about)) is hit


def test_a_debian_package_is_looked_up_by_its_source() -> None:
    about = advisory(SINCE, ecosystem="Debian:13", name="libone1")

    assert find(deb("1-1"), about) == []
    assert find(deb("1-1"), advisory(SINCE, ecosystem="Debian:13"))


def test_an_advisory_of_another_release_of_debian_is_none() -> None:
    about = advisory(SINCE, {"fixed": "2"}, ecosystem="Debian:12")

    assert find(deb("1-1"), about) == []
    assert find(deb("1-1", release=""), about)
    assert find(deb("1-1"), advisory(SINCE, {"fixed": "2"}, ecosystem="Debian"))


def test_names_of_wheels_are_normalised() -> None:
    assert find(wheel("1", "fast-api"), advisory(SINCE, name="Fast_API"))


@pytest.mark.parametrize(
    ("version", "hit"),
    [("1.0", False), ("1.1", True), ("1.5", False), ("2.1", True), ("2.5", False)],
)
def test_there_may_be_several_intervals(version: str, hit: bool) -> None:
    about = advisory(
        {"introduced": "1.1"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.5"}
    )

    assert bool(find(wheel(version), about)) is hit


@pytest.mark.parametrize("version", ["1.2", "2.2"])
def test_the_order_of_events_in_the_document_does_not_matter(version: str) -> None:
    about = advisory(
        {"fixed": "2.5"}, {"introduced": "2.0"}, {"fixed": "1.5"}, {"introduced": "1.1"}
    )

    assert find(wheel(version), about)


def test_the_fix_is_the_next_one_above() -> None:
    about = advisory(SINCE, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.5"})

    assert [each.fixed for each in find(wheel("1.0"), about)] == ["1.5"]
    assert [each.fixed for each in find(wheel("2.0"), about)] == ["2.5"]


@pytest.mark.parametrize(("version", "hit"), [("2.0", True), ("2.0.1", False)])
def test_the_last_affected_version_is_affected(version: str, hit: bool) -> None:
    assert bool(find(wheel(version), advisory(SINCE, {"last_affected": "2.0"}))) is hit


def test_versions_may_be_listed_one_by_one() -> None:
    about = advisory(about={"versions": ["1.0", "strange"]})

    assert find(wheel("1.0"), about)
    assert find(wheel("1.1"), about) == []


def test_what_cannot_be_compared_counts_as_affected() -> None:
    assert find(wheel("1.0"), advisory(SINCE, {"fixed": "not a version"}))


def test_ranges_of_commits_say_nothing_of_versions() -> None:
    about = {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}

    assert find(wheel("1.0"), advisory(about=about)) == []


def test_advisories_that_know_each_other_are_one_finding() -> None:
    first = advisory(SINCE, {"fixed": "2"}, id="GHSA-1", aliases=["CVE-1"])
    second = advisory(SINCE, id="PYSEC-1", aliases=["CVE-1", "OSV-9"])
    third = advisory(SINCE, id="OSV-9")
    other = advisory(SINCE, id="GHSA-2", aliases=["CVE-2"])

    one, two = find(wheel("1"), third, first, other, second)

    assert one.name == "CVE-1"
    assert one.names == ("CVE-1", "GHSA-1", "OSV-9", "PYSEC-1")
    assert one.fixed == "2"
    assert two.names == ("CVE-2", "GHSA-2")


def test_debians_record_of_a_cve_is_that_cve() -> None:
    record = advisory(SINCE, ecosystem="Debian:13", id="DEBIAN-CVE-1", upstream=["CVE-1"])

    assert [each.name for each in find(deb("1-1"), record)] == ["CVE-1"]


@pytest.mark.parametrize(
    ("more", "rating", "score"),
    [
        ({}, "unknown", None),
        ({"database_specific": {"severity": "MODERATE"}}, "medium", None),
        (
            {
                "severity": [
                    {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
                ]
            },
            "critical",
            9.8,
        ),
        (
            {"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:M/Au:N/C:N/I:N/A:P"}]},
            "medium",
            4.3,
        ),
        ({"severity": [{"type": "CVSS_V3", "score": "none"}]}, "unknown", None),
        ({"severity": [{"type": "Ubuntu", "score": "low"}]}, "unknown", None),
    ],
)
def test_severity_is_the_base_score_of_cvss(
    more: dict[str, Any], rating: str, score: float | None
) -> None:
    (found,) = find(wheel("1"), advisory(SINCE, **more))

    assert (found.rating, found.score) == (rating, score)


@pytest.mark.parametrize(
    ("threshold", "fixed", "counts"),
    [
        ("fixable", True, True),
        ("fixable", False, False),
        ("any", False, True),
        ("never", True, False),
        ("medium", False, True),
        ("high", True, False),
    ],
)
def test_what_counts_is_chosen(threshold: str, fixed: bool, counts: bool) -> None:
    events = [SINCE, {"fixed": "2"}] if fixed else [SINCE]
    rated: dict[str, Any] = {"database_specific": {"severity": "MEDIUM"}}

    (found,) = find(wheel("1"), advisory(*events, **rated))

    assert found.counts(threshold) is counts
