from rules.layers.runfiles import Places

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
