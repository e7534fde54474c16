"""What promtool says of alert rules, and which alerts fire over series of samples."""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.manifests import Manifests

# Between two samples of a series, as the ServiceMonitor has it.
INTERVAL_SECONDS = 30
# Between two looks at the rules, as Prometheus has it by default; no rule waits for less.
LOOK_SECONDS = 60
_LOADERS = {"x86_64": "usr/lib64/ld-linux-x86-64.so.2"}
_LIBRARIES = {"x86_64": "usr/lib/x86_64-linux-gnu"}

type Rule = dict[str, Any]


class PromtoolError(Exception):
    """promtool did not agree; the text is what it said."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Series, and the alerts that they set off.

    Attributes:
        series: the values of each, in promtool's notation, by the series' name with labels.
        minutes: after which the alerts are looked at.
        fires: the alerts that fire then; no other does.
    """

    series: Mapping[str, str]
    minutes: int
    fires: frozenset[str]


def rules(manifests: Manifests) -> list[Rule]:
    """All alert rules of manifests."""
    return [
        rule
        for one in manifests.of("PrometheusRule")
        for group in one["spec"]["groups"]
        for rule in group["rules"]
    ]


def check_rules(found: Iterable[Rule], folder: Path) -> None:
    """Raise `PromtoolError` unless every rule is one that Prometheus takes, linted too.

    Args:
        found: rules, of alerts or of records.
        folder: for scratch files.
    """
    _write_rules(found, folder)
    _promtool(folder, "check", "rules", "--lint-fatal", "--lint=all", "rules.yaml")


def try_rules(found: Sequence[Rule], cases: Iterable[Case], folder: Path) -> None:
    """Raise `PromtoolError` unless each case sets off its alerts and no other."""
    _write_rules(found, folder)
    names = sorted({rule["alert"] for rule in found})
    document = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": f"{LOOK_SECONDS}s",
        "tests": [
            {
                "interval": f"{INTERVAL_SECONDS}s",
                "input_series": [
                    {"series": name, "values": values} for name, values in case.series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": f'group(ALERTS{{alertname="{name}", alertstate="firing"}})',
                        "eval_time": f"{case.minutes}m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if name in case.fires else [],
                    }
                    for name in names
                ],
            }
            for case in cases
        ],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    _promtool(folder, "test", "rules", "tests.yaml")


def faults(found: Sequence[Rule], cases: Mapping[str, Case], folder: Path) -> dict[str, str]:
    """What is wrong with each case that does not set off its alerts and no other, by its name."""
    try:
        # A run of promtool takes longer than most cases.
        try_rules(found, cases.values(), folder)
    except PromtoolError:
        return {name: what for name, case in cases.items() if (what := _fault(found, case, folder))}
    return {}


def _fault(found: Sequence[Rule], case: Case, folder: Path) -> str | None:
    try:
        try_rules(found, [case], folder)
    except PromtoolError as error:
        return str(error)
    return None


def _write_rules(found: Iterable[Rule], folder: Path) -> None:
    groups = [{"name": "rules", "rules": list(found)}]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))


def _promtool(folder: Path, *arguments: str) -> None:
    root = Path(os.environ["PROGRAMS"]).absolute()
    machine = os.uname().machine
    done = subprocess.run(
        [
            root / _LOADERS[machine],
            "--library-path",
            root / _LIBRARIES[machine],
            root / "usr/bin/promtool",
            *arguments,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PromtoolError(f"promtool {' '.join(arguments)}: {done.stdout}{done.stderr}")
