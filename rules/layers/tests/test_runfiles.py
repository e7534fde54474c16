"""Sources and wheels of a program find their places in a layer."""

import pytest

from rules.layers.runfiles import Places, Wheels, runnable
from rules.layers.tree import LayerError

ROOTS = ["rules_python~~pip~pypi_313_a/site-packages", "_main/backend"]
PLACES = Places("/app", "/lib", ROOTS)


def test_a_wheels_files_lie_below_the_folder_they_are_imported_from() -> None:
    runfile = "../rules_python~~pip~pypi_313_a/site-packages/a/site-packages/b.py"

    assert PLACES.of(runfile) == "/lib/a/site-packages/b.py"


def test_the_folders_name_does_not_matter() -> None:
    assert Places("", "/lib", ["a/modules"]).of("../a/modules/a.py") == "/lib/a.py"


def test_the_deepest_folder_that_is_imported_from_counts() -> None:
    assert Places("", "/lib", ["a", "a/src"]).of("../a/src/a.py") == "/lib/a.py"


def test_what_a_wheel_has_beside_that_folder_stays_out() -> None:
    assert PLACES.of("../rules_python~~pip~pypi_313_a/bin/a") is None


def test_the_repositorys_own_files_keep_their_path() -> None:
    assert PLACES.of("backend/site-packages/a.py") == "/app/backend/site-packages/a.py"


def test_what_has_no_folder_stays_out() -> None:
    assert Places("", "/lib", ROOTS).of("backend/a.py") is None
    assert (
        Places("/app", "", ROOTS).of("../rules_python~~pip~pypi_313_a/site-packages/a.py") is None
    )


SOURCES = ["app/backend/__init__.py", "app/backend/__main__.py", "app/tool.py"]


def test_a_package_with_a_main_module_and_a_module_can_be_run() -> None:
    runnable("backend", "/app", SOURCES)
    runnable("tool", "/app", SOURCES)


def test_a_module_that_is_not_there_is_an_error_that_names_what_is() -> None:
    with pytest.raises(
        LayerError, match=r"module bakend to run, /app/bakend/__main__\.py.*backend"
    ):
        runnable("bakend", "/app", SOURCES)


def test_a_package_without_a_main_module_is_an_error() -> None:
    with pytest.raises(LayerError, match="got no program at all"):
        runnable("backend", "/app", ["app/backend/__init__.py"])


def test_a_file_of_a_wheel_comes_from_the_wheel() -> None:
    metadata = "../pypi_313_a_b_0123abcd/site-packages/A.b-1.0+x.dist-info/METADATA"
    wheels = Wheels([metadata, "../pypi_c/site-packages/c.py", "backend/a.py"])

    assert wheels.origin("../pypi_313_a_b_0123abcd/site-packages/a/b.py") == "a-b==1.0+x"


def test_a_file_of_another_repository_comes_from_that() -> None:
    assert Wheels([]).origin("../other/a.py") == "@other"


def test_a_file_of_this_repository_comes_from_no_wheel() -> None:
    assert Wheels([]).origin("backend/a.py") == ""
