"""A recipe is read strictly; what is wrong is named with its file."""

from pathlib import Path

import pytest

from tools.debian.builder import recipe
from tools.debian.builder.error import BuilderError

GOOD = """
suite = "forky"
snapshot = "20261030T080801Z"
free_space = 4000
free_space_tests = 500
[packages]
zstd = "unpacks"
git = "stamps"
[tests]
podman = "runs"
[omit]
gcc = "no C here"
[exclude]
"/usr/share/man/*" = "documentation"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recipe.toml"


def test_a_recipe_names_its_packages_in_order(file: Path) -> None:
    file.write_text(GOOD)

    found = recipe.read(file)

    assert found.packages == ("git", "zstd")
    assert found.exclude == ("/usr/share/man/*",)
    assert found.omit == ("gcc",)
    assert found.tests == ("podman",)
    assert (found.free_space, found.free_space_tests) == (4000, 500)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('suite = "forky"', "", "'suite' is missing"),
        ("20261030T080801Z", "yesterday", "expected a time such as"),
        ("git =", '"git; rm" =', "'git; rm' is not the name of a Debian package"),
        ("gcc =", '"gcc, x" =', "'gcc, x' is not the name of a Debian package"),
        ("gcc =", "git =", r"git is both in \[packages\] and in \[omit\]; remove one"),
        ("podman =", "zstd =", r"zstd is both in \[packages\] and in \[tests\]; remove one"),
        ("podman =", '"x y" =', "'x y' is not the name of a Debian package"),
        ("[tests]\npodman", "other", "'tests' is missing"),
        ("[packages]", "[packages", "not TOML"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_with_the_file(
    file: Path, old: str, new: str, message: str
) -> None:
    file.write_text(GOOD.replace(old, new))

    with pytest.raises(BuilderError, match=f"recipe.toml: .*{message}"):
        recipe.read(file)
