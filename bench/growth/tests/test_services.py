"""Generated services differ in nothing but their names; numbers are read strictly."""

import argparse
from pathlib import Path

import pytest

from bench.growth import services
from bench.growth.__main__ import main, numbers

BUILD = """
py_library(name = "lib", deps = ["//examples"])

service_image(
    name = "image",
    module = "examples.hello",
    service = "hello",
)

[
    manifests(
        name = name,
    )
    for name in ["a"]
]
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    pattern = tmp_path / "examples/hello"
    pattern.mkdir(parents=True)
    (pattern / "BUILD.bazel").write_text(BUILD)
    (pattern / "app.py").write_text("from examples.hello.identity import IDENTITY\n")
    (pattern / "identity.py").write_text('Identity(name="hello", module="examples.hello")\n')
    return tmp_path


def test_each_service_has_its_own_name_everywhere(scratch: Path) -> None:
    packages = services.add(scratch, 2)

    assert packages == ["grown/s001", "grown/s002"]
    second = scratch / packages[1]
    assert 'name="s002", module="grown.s002"' in (second / "identity.py").read_text()
    assert (second / "app.py").read_text() == "from grown.s002.identity import IDENTITY\n"
    build = (second / "BUILD.bazel").read_text()
    assert 'service = "s002"' in build
    assert 'module = "grown.s002"' in build
    assert '"//grown"' in build
    assert "manifests" not in build


def test_each_change_of_a_service_is_another_one(scratch: Path) -> None:
    package = services.add(scratch, 1)[0]
    seen = set()

    for number in (1, 2):
        services.change(scratch, package, number)
        seen.add((scratch / package / "app.py").read_text())

    assert len(seen) == 2


def test_a_folder_that_is_no_checkout_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))

    assert main(["--services", "1,2"]) == 2

    assert "git checkout expected" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1", "0,2", "1,1000"])
def test_numbers_of_services_that_do_not_serve_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="two numbers from 1 to 999"):
        numbers(text)
