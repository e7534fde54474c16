"""The runbook has what a person on call meets."""

import os
import re
from pathlib import Path

import pytest

PAGES = {Path(name).name: Path(name) for name in os.environ["PAGES"].split()}
# Of a client that speaks another protocol: no symptom of the service's.
OF_CLIENTS = {501, 505}


def failures() -> list[tuple[str, int]]:
    """The problems that speak of the service, by name and status."""
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (5\d\d) \|", PAGES["problems.md"].read_text(), re.MULTILINE
    )
    return [(name, int(status)) for name, status in rows if int(status) not in OF_CLIENTS]


def symptoms() -> list[str]:
    """The first cells of the table of symptoms."""
    part = PAGES["troubleshoot.md"].read_text().split("## By symptom\n")[1].split("\n## ")[0]
    return re.findall(r"^\| ([^|]+) \|", part, re.MULTILINE)


def test_there_are_failures() -> None:
    assert len(failures()) > 10


@pytest.mark.parametrize(("name", "status"), failures())
def test_each_failure_is_a_symptom_of_the_runbook(name: str, status: int) -> None:
    rows = [cell for cell in symptoms() if f"`{name}`" in cell]
    assert rows, f"docs/troubleshoot.md, By symptom: a row for {status} `{name}`"
    assert all(str(status) in cell for cell in rows)
