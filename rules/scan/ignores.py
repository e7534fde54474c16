"""Advisories that do not count, with a reason and a last day each: a TOML file of `[[ignore]]`."""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from rules.scan.error import ScanError

# OpenVEX's justifications of "not affected".
JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)
_KEYS = {"id", "package", "reason", "expires", "justification"}


@dataclass(frozen=True)
class Ignore:
    """An advisory, by any of its names, that does not count for a package until a day is over."""

    identifier: str
    package: str
    reason: str
    expires: date
    justification: str


def read(file: Path) -> list[Ignore]:
    """The entries of a file; raises `ScanError` for one that says too little."""
    try:
        entries = tomllib.loads(file.read_text()).get("ignore", [])
    except (OSError, ValueError) as error:
        raise ScanError(f"{file}: expected TOML with tables [[ignore]]: {error}") from None
    if not isinstance(entries, list):
        raise ScanError(f"{file}: ignore is no list of tables; expected [[ignore]]")
    return [_ignore(entry, f"{file}: entry {number}") for number, entry in enumerate(entries, 1)]


def _ignore(entry: dict[str, object], place: str) -> Ignore:
    if unknown := sorted(entry.keys() - _KEYS):
        raise ScanError(f"{place}: unknown key {unknown[0]}; there are {', '.join(sorted(_KEYS))}")
    texts = {key: entry.get(key) for key in ("id", "package", "reason")}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise ScanError(f"{place}: {key} is {value!r}; expected a text")
    expires = entry.get("expires")
    if not isinstance(expires, date) or isinstance(expires, datetime):
        raise ScanError(f"{place}: expires is {expires!r}; expected a day such as 2027-01-31")
    justification = entry.get("justification", JUSTIFICATIONS[2])
    if justification not in JUSTIFICATIONS:
        raise ScanError(
            f"{place}: justification is {justification!r}; expected one of OpenVEX's: "
            f"{', '.join(JUSTIFICATIONS)}"
        )
    return Ignore(
        str(texts["id"]), str(texts["package"]), str(texts["reason"]), expires, str(justification)
    )
