"""What fuzzing has found, and what was mended: each case is tried on every run."""

from typing import Any

# By subject, as the fuzzer prints them.
FINDINGS: dict[str, list[Any]] = {
    # The path was quoted, and again in the reason of the operating system.
    "settings": [{"AI_API_KEY_FILE": "postgresql://me:sesame@h:1/d?sslmode=x"}],
}
