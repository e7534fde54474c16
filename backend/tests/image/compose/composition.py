"""deploy/compose.yaml, as tests read it."""

import os
from pathlib import Path
from typing import Any

import yaml

type Object = dict[str, Any]

VARIABLE = "COMPOSE"


def path() -> Path:
    """Where the file is."""
    return Path(os.environ[VARIABLE])


def read() -> Object:
    """The file's document."""
    document: Object = yaml.safe_load(path().read_text())
    return document
