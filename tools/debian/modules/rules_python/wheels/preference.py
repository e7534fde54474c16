"""Runs pip so that of a version's wheels it prefers as rules_python 2.3.2 does: platform first.

PEP 425 leaves the order to who installs. pip takes the wheel for the nearest interpreter and ABI,
and has no option about it; rules_python the one that needs the oldest C library, whatever its ABI.
A version may have cp313-cp313-manylinux_2_17 and cp37-abi3-manylinux_2_5: an image holds the same
of them whichever rule set makes it.
"""

import importlib
import runpy
from typing import Any

_python = importlib.import_module("pip._internal.models.target_python").TargetPython
_by_interpreter = _python.get_sorted_tags


def _by_platform(self: Any) -> list[Any]:
    """What pip takes for its tags, best first: platforms as they were named, then `any`."""
    rank = {platform: number for number, platform in enumerate(self.platforms or ())}
    return sorted(_by_interpreter(self), key=lambda tag: rank.get(tag.platform, len(rank)))


if __name__ == "__main__":
    _python.get_sorted_tags = _by_platform
    runpy.run_module("pip", run_name="__main__")
