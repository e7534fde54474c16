"""The report of the service's image is whole, and needs nothing but itself."""

import os
import re
from pathlib import Path

from deploy import definition

SERVICE = definition.read(Path(os.environ["SERVICE"]))
TEXT = Path(os.environ["REPORT"]).read_text()


def test_both_cpus_and_all_layers_are_there() -> None:
    for cpu in ("amd64", "arm64"):
        assert f'<h2 id="{cpu}">' in TEXT
    for layer in ("base", "python", "packages", "serving", "app"):
        assert TEXT.count(f"<td>//image:{layer}<div><code>sha256:") == 2


def test_packages_of_debian_wheels_and_our_own_files_have_their_files() -> None:
    for name in ("libc6", "fastapi", SERVICE["service"]):
        assert re.search(rf"<summary>{name}, [\d.]+ [kM]?B</summary>", TEXT), name
    main = f"/app/{SERVICE['module'].replace('.', '/')}/__main__.py"
    assert f"<td>{main}</td>" in TEXT


def test_the_interpreter_may_be_executed() -> None:
    assert "<li><code>/usr/bin/python3.13</code></li>" in TEXT


def test_nothing_is_fetched_and_nothing_runs() -> None:
    assert re.findall(r"<(?:script|link|img|iframe)\b|\bsrc=|url\(|@import", TEXT) == []
    assert set(re.findall(r'href="([^"]*)"', TEXT)) == {
        "#amd64",
        "#arm64",
        "#advisories",
        "#origin",
        "#verify",
    }


def test_it_says_of_what_the_images_were_built() -> None:
    assert '<th scope="row">Target</th><td>//image:index</td>' in TEXT
    for lock in ("MODULE.bazel", "image/lock.json", "requirements_lock.txt"):
        assert re.search(f"<td>{lock}<div><code>sha256:[0-9a-f]{{64}}</code>", TEXT), lock


def test_no_advisory_is_said_to_have_been_looked_at() -> None:
    assert "No advisories were looked at." in TEXT
