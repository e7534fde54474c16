"""The page about the settings, made from their class so that it cannot drift."""

from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from serving.identity import Identity
from serving.settings.secrets import is_secret
from serving.settings.section import Section

INTRODUCTION = """\
# Configuration

Everything the service can be told comes from environment variables. They are checked before the
port opens: each problem is printed on a line of its own (variable, what came, what is expected;
secrets masked) and the process ends with exit code 78. The command `check-config` checks them and
prints the effective values.

A *secret* may also come from a file: `NAME_FILE=/run/secrets/name` is read in place of `NAME`,
without trailing line breaks. Setting both is an error. An empty variable counts as unset. Lists
are separated by commas. Files with API keys, with the key for another service, or with the
database's URL or password are read again while the service runs:
[operate.md](operate.md#change-a-key-or-a-password).

This page is made from the sections of settings, which stand beside the code that reads them, by
`tools/bazel run //{module} -- configuration`; a test fails when they differ.
"""


def reference(identity: Identity, settings: type[Section]) -> str:
    """The page, in Markdown."""
    lines = [INTRODUCTION.format(module=identity.module).rstrip()]
    production = settings.production()
    for section, names in settings.sections():
        lines += [
            f"\n## {section.TITLE}\n",
            "| Variable | Default | In `prod` | Meaning |",
            "| --- | --- | --- | --- |",
        ]
        for name in names:
            in_production = _shown(production[name]) if name in production else ""
            lines.append(_row(name, settings.model_fields[name], in_production))
    return "\n".join(lines) + "\n"


def _row(name: str, field: FieldInfo, production: str) -> str:
    default = _shown(field.get_default(call_default_factory=True))
    meaning = (field.description or "").replace("|", "\\|")
    limits = _limits(field)
    notes = [meaning]
    if limits:
        notes.append(limits)
    if is_secret(field):
        notes.append("Secret.")
    return f"| `{name.upper()}` | {default} | {production} | {' '.join(notes)} |"


def _limits(field: FieldInfo) -> str:
    low = high = None
    low_sign = "from"
    for rule in field.metadata:
        if getattr(rule, "ge", None) is not None:
            low = rule.ge
        if getattr(rule, "gt", None) is not None:
            low, low_sign = rule.gt, "above"
        if getattr(rule, "le", None) is not None:
            high = rule.le
    choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
    if choices:
        return f"One of {', '.join(choices)}."
    if low is None and high is None:
        return ""
    parts = []
    if low is not None:
        parts.append(f"{low_sign} {low:g}")
    if high is not None:
        parts.append(f"to {high:g}" if high < 1_000_000 else f"to {high}")  # noqa: PLR2004
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "unset"
    if isinstance(value, SecretStr):
        return "a file below the temporary folder"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
