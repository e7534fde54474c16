"""The example settings and secrets, and the commands of the docs that name them."""

import re
import shlex
from pathlib import Path

import pytest

from backend.settings import Settings
from backend.tests import process
from serving.settings.secrets import is_secret
from serving.settings.section import PLACEHOLDER
from serving.web.security import new_key

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy/examples"
# What docs/deployment.md has people copy the examples to, and where it has a container see secrets.
COPY = Path("local")
MOUNT = Path("/run/secrets/todo-backend")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ASSIGNMENT = re.compile(r"^(#?)([A-Z][A-Z_]*)=(.*)$", re.MULTILINE)
# What a person would put in the place of the examples.
REPLACED = {
    "database-url": "postgresql://todo:secret@database.example/todo",
    "api-keys": new_key("web")[1],
    "ai-api-key": "token",
}


def assignments(*, with_ai: bool) -> dict[str, str]:
    """The settings of the file; those that are marked off only with an AI service."""
    found = ASSIGNMENT.findall((EXAMPLES / "settings.env").read_text())
    return {name: value for mark, name, value in found if with_ai or not mark}


def check(folder: Path, *, with_ai: bool, **others: str) -> tuple[int, str]:
    """What `check-config` makes of the settings, with that folder mounted; exit code and words."""
    variables = {
        name: value.replace(str(MOUNT), str(folder)) if name.endswith("_FILE") else value
        for name, value in assignments(with_ai=with_ai).items()
    }
    done = process.run("check-config", **{**variables, **others})
    return done.returncode, done.stdout + done.stderr


def commands() -> list[tuple[str, list[str]]]:
    """Every command of the docs that starts a container: the page, and the words."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ").replace("$PWD/", "")
        lines = re.findall(r"^ +((?:podman|docker) run .*)$", text, re.MULTILINE)
        found += [(page.name, shlex.split(line)) for line in lines]
    return found


def named_files(words: list[str]) -> list[Path]:
    """The files and folders of the host that a command names."""
    options = {
        "--env-file": r"(.+)",
        "--volume": r"([^:]+):.*",
        "--security-opt": r"seccomp=(.+)",
    }
    found = []
    for word in words:
        option, _, value = word.partition("=")
        match = re.fullmatch(options.get(option, "(?!)"), value)
        if match:
            found.append(Path(match[1]))
    return found


def original(path: Path) -> Path:
    """The file of the repository that a path of a command comes from."""
    return EXAMPLES / path.relative_to(COPY) if path.is_relative_to(COPY) else ROOT / path


def test_each_name_is_a_setting_and_each_file_a_secret_that_there_is() -> None:
    fields = Settings.model_fields
    files = set()
    for name, value in assignments(with_ai=True).items():
        setting = name.removesuffix("_FILE").lower()
        assert setting in fields, name
        assert name.endswith("_FILE") == is_secret(fields[setting]), name
        if name.endswith("_FILE"):
            assert Path(value).parent == MOUNT
            files.add(Path(value).name)
    assert files == {file.name for file in (EXAMPLES / "secrets").iterdir()} == set(REPLACED)


def test_the_files_as_they_stand_are_valid_outside_of_production() -> None:
    code, said = check(EXAMPLES / "secrets", with_ai=True, ENVIRONMENT="dev")
    assert code == 0, said
    assert PLACEHOLDER not in said


@pytest.mark.parametrize("with_ai", [False, True])
def test_production_refuses_each_secret_that_was_not_replaced(with_ai: bool) -> None:
    code, said = check(EXAMPLES / "secrets", with_ai=with_ai)
    expected = ["DATABASE_URL", "API_KEYS", *(["AI_API_KEY"] if with_ai else [])]
    assert code == 78, said
    assert sorted(line.split(":")[0] for line in said.splitlines()) == sorted(expected)
    assert said.count("expected a secret of your own in its place") == len(expected)


@pytest.mark.parametrize("with_ai", [False, True])
def test_production_takes_the_files_once_they_hold_secrets(with_ai: bool, tmp_path: Path) -> None:
    for name, value in REPLACED.items():
        (tmp_path / name).write_text(value + "\n")
    code, said = check(tmp_path, with_ai=with_ai)
    assert code == 0, said
    assert "ENVIRONMENT=prod" in said


def test_the_commands_of_the_docs_name_files_that_exist() -> None:
    found = [(page, path) for page, words in commands() for path in named_files(words)]
    missing = [f"{page}: {path}" for page, path in found if not original(path).exists()]
    assert missing == []
    assert {path for _, path in found} >= {COPY / "settings.env", COPY / "secrets"}


def test_podman_and_docker_get_the_same_command() -> None:
    found = [words for page, words in commands() if page == "deployment.md"]
    by_engine = {words[0]: words[1:] for words in found}
    assert set(by_engine) == {"docker", "podman"}
    assert by_engine["docker"] == by_engine["podman"]


def test_secrets_are_mounted_where_the_settings_look() -> None:
    for page, words in commands():
        if any(word.startswith("--env-file") for word in words):
            [volume] = [word for word in words if word.startswith("--volume")]
            assert volume.split(":")[1] == str(MOUNT), page
