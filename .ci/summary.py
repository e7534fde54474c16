"""Counts test targets in a Bazel build event file (one JSON event a line)."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path


def statuses(events: Iterable[str]) -> dict[str, str]:
    """Overall status by label: PASSED, FLAKY, FAILED, TIMEOUT, NO_STATUS, ...

    A target that is planned but has no summary, as when the build stops early, is NO_STATUS.
    """
    found: dict[str, str] = {}
    for line in events:
        event = json.loads(line)
        identity = event.get("id", {})
        if "targetConfigured" in identity and "testSize" in event.get("configured", {}):
            found.setdefault(identity["targetConfigured"]["label"], "NO_STATUS")
        if "testSummary" in identity:
            found[identity["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
    return found


def main() -> int:
    """Prints what did not pass, then `N passed, N failed`; 1 where a test failed or none ran."""
    with Path(sys.argv[1]).open(encoding="utf-8") as events:
        found = statuses(events)
    failed = {label: status for label, status in found.items() if status != "PASSED"}
    for label, status in sorted(failed.items()):
        print(f"{status}: {label}")
    print(f"{len(found) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
