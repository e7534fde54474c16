"""Fixtures of tests that look at pages: `chromium`, and where pictures of them go."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.browser import browser
from tools.browser.browser import Browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium, started once for all tests."""
    with browser.start(Path(os.environ["CHROMIUM"])) as started:
        yield started


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for screenshots; Bazel keeps them, `bazel-testlogs/.../test.outputs`."""
    kept = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    return Path(kept) if kept else tmp_path_factory.mktemp("pictures")
