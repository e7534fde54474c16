"""The commands that every service has, and the exit codes they end with."""

import gc
import hashlib
import json
import sys
from unittest.mock import Mock

import pytest

from serving.process import command, server, supervisor
from serving.process.settings import ServiceSettings
from serving.tests.process import run
from serving.tests.sample.identity import IDENTITY
from serving.web.application import Application


def test_the_process_ends_with_78_before_the_port_opens() -> None:
    done = run(PORT="x", ENVIRONMENT="prod")
    assert done.returncode == 78
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["PORT", "API_KEYS"]
    assert done.stdout == ""


def test_no_garbage_is_looked_for_while_the_application_is_made_nor_in_it_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, tuple[bool, bool]] = {}

    def note(moment: str) -> None:
        seen[moment] = (gc.isenabled(), gc.get_freeze_count() > 0)

    def application(_: ServiceSettings) -> Application:
        note("while it is made")
        return Mock(spec=Application)

    monkeypatch.setattr(sys, "argv", ["sample"])
    monkeypatch.setattr(supervisor, "serve", lambda *arguments: arguments[-1](None))
    monkeypatch.setattr(server, "run", lambda *_: note("while it serves"))
    # Whoever runs the tests may have frozen what was made before them.
    gc.unfreeze()
    try:
        code = command.main(IDENTITY, ServiceSettings, application)
    finally:
        gc.unfreeze()
        gc.enable()
    assert code == 0
    assert seen == {"while it is made": (False, False), "while it serves": (True, True)}


def test_check_config_shows_settings_and_masks_secrets() -> None:
    done = run(
        "check-config",
        DATABASE_URL="postgresql://me:hunter2@db/x",
        TRANSLATOR_KEY="hunter3",
        PORT="81",
    )
    assert done.returncode == 0
    assert "PORT=81\n" in done.stdout
    assert "DATABASE_URL=********\n" in done.stdout
    assert "TRANSLATOR_KEY=********\n" in done.stdout
    assert "hunter" not in done.stdout


def test_check_config_ends_with_78_when_the_settings_cannot_work() -> None:
    done = run("check-config", WORKERS="2")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == "WORKERS: got 2; expected 1 with SQLite\n"


def test_new_key_prints_a_key_that_its_entry_admits() -> None:
    done = run("new-key", "web")
    key, entry = (line.split()[-1] for line in done.stdout.splitlines())
    assert ServiceSettings(api_keys=(entry,)).key_digests() == {
        "web": hashlib.sha256(key.encode()).digest()
    }


def test_a_key_is_not_made_for_a_name_that_cannot_be_an_entry() -> None:
    done = run("new-key", "the web")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("name: got 'the web'; expected 1 to 64 of")


def test_openapi_prints_the_document_with_sorted_members() -> None:
    done = run("openapi")
    document = json.loads(done.stdout)
    assert document["info"]["title"] == "Sample"
    assert list(document["paths"]) == sorted(document["paths"])


def test_configuration_prints_the_page_about_the_settings() -> None:
    done = run("configuration")
    assert done.stdout.startswith("# Configuration\n")
    assert "## Translator\n" in done.stdout


def test_metrics_prints_the_page_about_the_metrics_and_those_of_the_server() -> None:
    done = run("metrics")
    assert done.stdout.startswith("# Metrics\n")
    for name in ("translator_calls_total", "http_refused_total", "http_requests_total"):
        assert f"| `{name}` | counter |" in done.stdout


def test_help_lists_the_services_own_commands_too() -> None:
    done = run("--help")
    assert "python -m serving.tests.sample" in done.stdout
    for name in (
        "serve",
        "migrate",
        "check-config",
        "new-key",
        "openapi",
        "metrics",
        "configuration",
    ):
        assert f"    {name} " in done.stdout


def test_an_unknown_command_is_a_mistake_in_usage() -> None:
    done = run("dance")
    assert done.returncode == 2
    assert "invalid choice: 'dance'" in done.stderr
