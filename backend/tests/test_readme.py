"""The tour in the README: its commands, given to a service, are answered as it says."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx

from backend.tests.process import Running
from tools.dev.ai import AiStub

README = Path(__file__).parents[2] / "README.md"
STACK = "http://127.0.0.1:8000"
# Of each run: what a person sees is as long, and differs.
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def tour() -> list[tuple[str, str]]:
    """The typed commands, and what each prints."""
    part = README.read_text().split("## Five minutes\n")[1].split("\n## ")[0]
    return re.findall(r"^    \$ (.+)\n    (.+)$", part, re.MULTILINE)


def request(command: str) -> dict[str, Any]:
    """What curl sends, as arguments for httpx; of its options, those that the tour has."""
    program, *words = shlex.split(command)
    assert program == "curl"
    sent: dict[str, Any] = {"method": "GET", "headers": {}}
    while words:
        word = words.pop(0)
        if word == "--silent":
            continue
        if word == "--request":
            sent["method"] = words.pop(0)
        elif word == "--header":
            name, _, value = words.pop(0).partition(": ")
            sent["headers"][name] = value
        elif word == "--json":
            sent["json"] = json.loads(words.pop(0))
            sent["method"] = "POST" if sent["method"] == "GET" else sent["method"]
        else:
            assert word.startswith(STACK), f"{word}: tell this test what curl makes of it"
            sent["url"] = word.removeprefix(STACK)
    return sent


def stable(text: str) -> str:
    """A text without the times that every run has others of."""
    return MOMENT.sub("TIME", text)


def test_the_tour_is_answered_as_the_readme_says() -> None:
    steps = tour()
    assert len(steps) >= 5
    [(_, first), *_] = steps
    documented = json.loads(first)["id"]
    with (
        AiStub() as ai,
        Running(AI_BASE_URL=ai.url) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        own = documented
        for command, printed in steps:
            sent = request(command)
            sent["url"] = sent["url"].replace(documented, own)
            answer = client.request(**sent).text
            if own == documented:
                own = json.loads(answer)["id"]
            # The example of a date is the same each time; a moment is not.
            assert stable(answer.replace(own, documented)) == stable(printed), (
                f"README.md prints another answer of {command}: write there what is on the left"
            )
