"""What a client sent may be in a line of the log, whatever it is."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging
from serving.watch import logs
from serving.watch.settings import WatchSettings
settings = WatchSettings(log_format="{form}")
logs.configure(settings)
logging.getLogger("room").warning("a name: %s", "half \\ud800")
logs.AccessLog(settings).write({{"problem": "half \\udfff"}})
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_half_a_character_that_a_client_sent_is_escaped(form: str) -> None:
    """A lone surrogate has no UTF-8, and a line that cannot be written would be a request lost."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    message, access = done.stdout.splitlines()
    assert "half \\ud800" in message
    assert "half \\udfff" in access
    if form == "json":
        assert json.loads(message)["message"] == "a name: half \ud800"
        assert json.loads(access)["problem"] == "half \udfff"
