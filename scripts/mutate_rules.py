#!/usr/bin/env python3
"""Change the alerting rules in one place after another, and require that the rule tests detect each change.

It changes comparisons, thresholds, ranges, guards (``and``, ``unless``, ``or``), aggregations, label matchers and
``for``. A change that no test detects is a gap in the tests, unless it has no observable effect: then `EXCUSED` says
why.

For speed, it tests each change only with the rules that the change can affect, and with the checks of those rules.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitoring import ROOT, find_tool, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = ROOT / "alerts" / "dataexport.rules.yaml"
TESTS = sorted((ROOT / "alerts" / "tests").glob("*.test.yaml"), key=lambda path: path.stat().st_size)
RECORD = re.compile(r"dataexport:\w+")
METRIC = re.compile(r"\b(?:dataexport_\w+|up)\b")

EXCUSED: dict[str, str] = {
    "dataexport:export_info: topk -> bottomk": "which of two owners is shown, where replicas disagree, is not promised",
    "dataexport:export_info: max -> min": "the info metric is always 1",
    "dataexport:export_info: max -> min #2": "0 times any deadline is 0",
    "dataexport:export_info: max -> min #3": "0 times any deadline is 0",
    "dataexport:export_overdue_seconds: 0 -> 1": "no deadline is a second after 1970",
    "dataexport:export_overdue_seconds: 0 -> 1 #3": "no file was modified a second after 1970",
    "dataexport:export_overdue_seconds: max -> min #5": "0 times any deadline is 0",
    "dataexport:export_never_completed_overdue_seconds: 0 -> 1": "no deadline is a second after 1970",
    "dataexport:export_never_completed_overdue_seconds: 0 -> 1 #3": "no file was modified a second after 1970",
    "dataexport:export_never_completed_overdue_seconds: max -> min #5": "0 times any deadline is 0",
    "dataexport:export_overdue_interval_seconds: 0 -> 1": "no deadline is a second after 1970",
    "dataexport:export_overdue_interval_seconds: 0 -> 1 #2": "no interval is a second long",
    "dataexport:export_overdue_interval_seconds: max -> min #3": "the info metric is always 1",
    "dataexport:export_overdue_interval_seconds: 0 -> 1 #3": "no file was modified a second after 1970",
    "dataexport:export_overdue_interval_seconds: max -> min #6": "0 times any deadline is 0",
    "dataexport:export_without_schedule: max -> min #2": "the info metric is always 1",
    "dataexport:export_without_schedule: max -> min #4": "0 times any interval is 0",
    "ExportUnknownStatus: 0 -> 1": "the record is 0, or grows by the seconds between two evaluations",
    "dataexport:run_overdue_seconds: 0 -> 1": "no deadline is a second after 1970",
    "dataexport:run_overdue_seconds: max -> min #3": "0 times any deadline is 0",
    "dataexport:export_start_overdue_seconds: 0 -> 1": "no deadline is a second after 1970",
    "dataexport:export_start_overdue_seconds: max -> min #4": "0 times any deadline is 0",
    "dataexport:run_failed_seconds: max -> min #4": "0 times any time is 0",
    "dataexport:landing_missing_seconds: 0 -> 1": "no file was due a second after 1970",
    "dataexport:landing_missing_seconds: max -> min #3": "0 times any time is 0",
    "dataexport:landed_unannounced_seconds: 0 -> 1": "no file was modified a second after 1970",
    "dataexport:landed_unannounced_seconds: max -> min #4": "0 times any time is 0",
    "dataexport:landing_check_failing_seconds: 0 -> 1": "no check failed a second after 1970",
    "dataexport:landing_check_failing_seconds: max -> min #3": "0 times any time is 0",
    "dataexport:landed_small_ratio: > -> >=": "what is divided by 0 is not under a fifth",
    "dataexport:landed_small_ratio: 0 -> -0.4": "what is divided by 0 is not under a fifth",
    "dataexport:landed_small_ratio: 0 -> 1": "only 0 bytes are under a fifth of one, and the record is 0 either way",
    "dataexport:landed_small_ratio: and max without (instance, pod) (dataexport_landed_objects) > 0 -> nothing": (
        "no files have 0 bytes, and the record is 0 either way"
    ),
    "dataexport:landed_small_ratio: > -> >= #2": "no files have 0 bytes, and the record is 0 either way",
    "dataexport:landed_small_ratio: 0 -> -0.4 #2": "no files have 0 bytes, and the record is 0 either way",
    "dataexport:landed_small_ratio: max -> min #6": "0 times any size is 0",
    "dataexport:slots_missed_1d: max -> min #3": "0 times any count is 0",
    "dataexport:slots_unknown_1d: max -> min #3": "0 times any count is 0",
    "dataexport:slots_over_objective_7d: max -> min #3": "0 times any count is 0",
    "dataexport:run_slow_seconds: max -> min #5": "0 times any duration is 0",
    "dataexport:webhook_silent_seconds: 0 -> 1": "no interval is a second long",
    "dataexport:webhook_silent_seconds: 0 -> 1 #2": "nothing arrived a second after 1970",
    "dataexport:webhook_silent_seconds: max -> min #9": "0 times any time is 0",
    "dataexport:source_never_heard_seconds: sum -> max": "any status above 0 makes the sum and the maximum so",
    "dataexport:source_never_heard_seconds: max -> min #3": "0 times any time is 0",
    "ExportCertificateExpiring: 86400 -> 86399": "14 seconds of two weeks",
    "dataexport:certificate_expires_in_seconds: 0 -> 1": "no certificate expires a second after 1970",
    "dataexport:store_free_in_a_day_ratio: 86400 -> 86399": "a second of a day",
    "dataexport:store_free_in_a_day_ratio: 86400 -> 86401": "a second of a day",
    "dataexport:backup_too_old_seconds: 0 -> 1": "the setting is an hour at least",
    "dataexport:series_limit_reached: max -> min": "the info metric is always 1",
    "dataexport:series_limit_reached: max -> min #2": "0 times any time is 0",
    "dataexport:config_reload_failed_seconds: max -> min #2": "0 times 0 or 1 is 0",
    "ExportOverdueCritical: 0 -> 1": "no interval is a second long",
    "ExportFreshnessBudgetBurn: 0 -> 1": "the record is 0, or more than one slot",
    "ExportRunSlow: 0 -> 1": "events have whole seconds, so what is over twice as long takes three",
    "ExportWebhookSilent: 0 -> 1": "two intervals are longer than a second",
    "ExportSourceNeverHeard: 0 -> 1": "the record is 0, or more than a day",
    "ExportStoreDiskFull: < -> <= #2": "no fitted trend is exactly 0",
    "ExportStoreDiskFull: 15m -> 1800s #2": "the other half ends after 15 minutes",
    "ExportStoreDiskFull: 15m -> 1800s #3": "the other half ends after 15 minutes",
    "ExportTimezoneSuspect: 15m -> 1800s": "the other half ends after 15 minutes",
    "ExportTimezoneSuspect: 15m -> 1800s #2": "the other half ends after 15 minutes",
    "ExportWatchdog: 1 -> 0": "an alert has no value to its receiver",
    "ExportWatchdog: 1 -> 2": "an alert has no value to its receiver",
}
"""The changes that no test can detect, by name, and why."""

_COMPARISONS = {">": (">=", "<"), ">=": (">", "<"), "<": ("<=", ">"), "==": ("!=",)}
_AGGREGATIONS = {"max": "min", "min": "max", "sum": "max", "topk": "bottomk"}
_FUNCTIONS = {"max_over_time": "min_over_time", "min_over_time": "max_over_time", "clamp_min": "clamp_max"}
_MATCHERS = {"=": "!=", "!=": "=", "=~": "!~"}
_UNITS = {"m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one rule.

    Attributes:
        rule: the name of the record or the alert.
        change: the text before and after, and the number of its occurrence.
        key: the part of the rule: ``expr`` or ``for``.
        text: that part, changed.
    """

    rule: str
    change: str
    key: str
    text: str

    @property
    def name(self) -> str:
        """A name that stays the same until the rule changes."""
        return f"{self.rule}: {self.change}"


def name_of(rule: dict[str, Any]) -> str:
    """Return the name of a record or an alert."""
    name: str = rule.get("record") or rule["alert"]
    return name


def mutants(rule: dict[str, Any]) -> Iterator[Mutant]:
    """Yield every change of a rule."""
    name, expression = name_of(rule), rule["expr"]
    seen: dict[str, int] = {}
    for start, end, new in sorted(_changes(expression)):
        old = " ".join(expression[start:end].split())
        label = f"{old} -> {' '.join(new.split()) or 'nothing'}"
        seen[label] = seen.get(label, 0) + 1
        count = f" #{seen[label]}" if seen[label] > 1 else ""
        yield Mutant(name, label + count, "expr", expression[:start] + new + expression[end:])
    if "for" in rule:
        yield Mutant(name, f"for {rule['for']} -> 0s", "for", "0s")
        longer = _duration(10 * _seconds(rule["for"]))
        yield Mutant(name, f"for {rule['for']} -> {longer}", "for", longer)


def _changes(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the start and the end of each place to change in an expression, and the new text."""
    for match in re.finditer(r"(?<![=!<>])(>=|<=|==|>|<)(?![=~])", text):
        yield from ((*match.span(), new) for new in _COMPARISONS[match[0]])
    for match in re.finditer(r"\[(\d+[mhd])\]", text):
        seconds = _seconds(match[1])
        yield from ((*match.span(1), _duration(new)) for new in (seconds * 2, seconds // 2))
    for match in re.finditer(r"(?<![\w\".\[])(\d+(?:\.\d+)?)(?![\w\"\]])", text):
        value = float(match[1])
        yield from ((*match.span(), f"{new:g}") for new in (value + 1, value - 1 if value >= 1 else value / 2 - 0.4))
    for match in re.finditer(r"\b(max|min|sum|topk)(?= without)", text):
        yield (*match.span(), _AGGREGATIONS[match[0]])
    for match in re.finditer(r"\b(max_over_time|min_over_time|clamp_min)\b", text):
        yield (*match.span(), _FUNCTIONS[match[0]])
    for match in re.finditer(r"(?<=[a-z])(=~|!=|=)(?=\")", text):
        yield (*match.span(), _MATCHERS[match[0]])
    yield from _guards(text)


def _guards(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the removal of each ``and``, ``unless`` and ``or`` with its right side; also reverse the first two."""
    for match in re.finditer(r"\b(and|unless|or)\b", text):
        yield (match.start(), _clause_end(text, match.end(), match[0]), "")
        if match[0] != "or":
            yield (*match.span(), "and" if match[0] == "unless" else "unless")


def _clause_end(text: str, start: int, keyword: str) -> int:
    """Return where the right side of a set operator ends; ``or`` binds weaker than the other two."""
    depth = 0
    ends = {"or"} if keyword == "or" else {"or", "and", "unless"}
    for match in re.finditer(r"[()]|\b(?:and|unless|or)\b", text[start:]):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
            if depth < 0:
                return start + match.start()
        elif depth == 0 and match[0] in ends:
            return start + match.start()
    return len(text)


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]


def _duration(seconds: int) -> str:
    return f"{seconds}s"


class Bench:
    """Runs the rule tests, reduced to the rules that a change can affect."""

    def __init__(self) -> None:
        self.document = read_yaml(RULES)
        self.rules = {name_of(rule): rule for group in self.document["groups"] for rule in group["rules"]}
        self.tests = {path.name: read_yaml(path) for path in TESTS}
        self.promtool = find_tool("promtool") or "promtool"

    def mutants(self) -> list[Mutant]:
        """Return every change of every rule."""
        return [mutant for rule in self.rules.values() for mutant in mutants(rule)]

    def affected(self, name: str) -> frozenset[str]:
        """Return the rules that use this one, directly or not, and itself."""
        affected = {name}
        while more := {user for user, rule in self.rules.items() if self._uses(rule) & affected} - affected:
            affected |= more
        return frozenset(affected)

    def reach(self, name: str) -> frozenset[str]:
        """Return the affected rules, and the rules that those need."""
        needed, required = set[str](), set(self.affected(name))
        while required - needed:
            needed |= required
            required = set().union(*(self._uses(self.rules[rule_name]) for rule_name in needed))
        return frozenset(needed)

    def detects(self, reach: frozenset[str], mutant: Mutant | None) -> bool:
        """Return True if a test fails with the rules of ``reach``, one of which ``mutant`` changes."""
        document = deepcopy(self.document)
        for group in document["groups"]:
            group["rules"] = [rule for rule in group["rules"] if name_of(rule) in reach]
            for rule in group["rules"]:
                if mutant is not None and name_of(rule) == mutant.rule:
                    rule[mutant.key] = mutant.text
        metrics = {metric for rule_name in reach for metric in METRIC.findall(self.rules[rule_name]["expr"])}
        checked = reach if mutant is None else self.affected(mutant.rule)
        with tempfile.TemporaryDirectory() as folder:
            rules = Path(folder) / "rules.yaml"
            rules.write_text(json.dumps(document), "utf-8")
            for name, test_file in self.tests.items():
                tests = [reduced for test in test_file["tests"] if (reduced := _reduced(test, reach, checked, metrics))]
                if not tests:
                    continue
                path = Path(folder) / name
                path.write_text(json.dumps(test_file | {"rule_files": [str(rules)], "tests": tests}), "utf-8")
                result = subprocess.run([self.promtool, "test", "rules", path], capture_output=True, check=False)
                if result.returncode:
                    return True
        return False

    def _uses(self, rule: dict[str, Any]) -> set[str]:
        return set(RECORD.findall(rule["expr"]))


def _reduced(
    test: dict[str, Any], reach: frozenset[str], checked: frozenset[str], metrics: set[str]
) -> dict[str, Any] | None:
    """Return a test with only the series of the rules in ``reach`` and the checks of ``checked``; None without any."""
    reduced = dict(test)
    reduced["alert_rule_test"] = [check for check in test.get("alert_rule_test", []) if check["alertname"] in checked]
    reduced["promql_expr_test"] = []
    for check in test.get("promql_expr_test", []):
        names = set(RECORD.findall(check["expr"])) | set(re.findall(r'alertname="(\w+)"', check["expr"]))
        if names <= reach and (not names or names & checked):
            samples = [sample for sample in check.get("exp_samples", []) if _concerns(sample["labels"], reach)]
            reduced["promql_expr_test"].append(check | {"exp_samples": samples})
    reduced["input_series"] = [
        series for series in test["input_series"] if re.split(r"\{", series["series"], maxsplit=1)[0] in metrics
    ]
    return reduced if reduced["input_series"] and (reduced["alert_rule_test"] or reduced["promql_expr_test"]) else None


def _concerns(labels: str, reach: frozenset[str]) -> bool:
    match = re.search(r'alertname="(\w+)"|^(dataexport:\w+)', labels)
    return match is None or (match[1] or match[2]) in reach


def main() -> int:
    """Test all changes, or some; return 1 if one is neither detected nor excused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the names of the changes, and test none")
    parser.add_argument(
        "--only", metavar="PATTERN", default="*", help="changes whose name fits, such as 'ExportOverdue:*'"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time (default: %(default)s)")
    options = parser.parse_args()
    bench = Bench()
    all_mutants = bench.mutants()
    stale = EXCUSED.keys() - {mutant.name for mutant in all_mutants}
    chosen = [mutant for mutant in all_mutants if fnmatch(mutant.name, options.only)]
    if options.list:
        print(*(mutant.name for mutant in chosen), sep="\n")
        return 0
    started_at = time.monotonic()
    reaches = {mutant.rule: bench.reach(mutant.rule) for mutant in chosen}
    with ThreadPoolExecutor(options.jobs) as pool:
        sound = pool.map(lambda reach: not bench.detects(reach, None), sorted(set(reaches.values()), key=sorted))
        if not all(sound):
            print("the tests fail without any change", file=sys.stderr)
            return 1
        detected = []
        outcomes = pool.map(lambda mutant: bench.detects(reaches[mutant.rule], mutant), chosen)
        for number, (mutant, caught) in enumerate(zip(chosen, outcomes, strict=True), 1):
            detected.append(caught)
            if not caught and mutant.name not in EXCUSED:
                print(f"not detected: {mutant.name}", file=sys.stderr, flush=True)
            if number % 50 == 0:
                print(f"{number} of {len(chosen)} changes in {time.monotonic() - started_at:.0f} s", flush=True)
    missed = [mutant.name for mutant, caught in zip(chosen, detected, strict=True) if not caught]
    unexcused = [name for name in missed if name not in EXCUSED]
    needless = [
        mutant.name for mutant, caught in zip(chosen, detected, strict=True) if caught and mutant.name in EXCUSED
    ]
    for text, names in (
        ("excused, but detected", needless),
        ("excused, but no such change", sorted(stale)),
    ):
        for name in names:
            print(f"{text}: {name}", file=sys.stderr)
    print(
        f"{len(chosen)} changes, {sum(detected)} detected, {len(missed) - len(unexcused)} excused, "
        f"{len(unexcused)} not detected; {time.monotonic() - started_at:.0f} s"
    )
    return 1 if unexcused or needless or stale else 0


if __name__ == "__main__":
    sys.exit(main())
