"""The PromQL that several panels share.

Two replicas show the same ledger, so the newest value wins: ``max``, never ``sum``. What a process
counts for itself is summed. No recording rule is used: the dashboards need the scrape and nothing else.
"""

from __future__ import annotations

from dataexport_dashboards.links import EXPORTER, RUNBOOKS
from dataexport_dashboards.palette import (
    IS_FINE,
    IS_OVERDUE,
    IS_STUCK,
    MUTED,
    NEVER_COMPLETED,
    NO_EXPORT,
    NO_SCHEDULE,
    NOT_STARTED,
    RUN_FAILED,
    RUNNING,
    Condition,
)

IDENTITY = ("source", "export", "partner", "data_type", "frequency")
BY = ", ".join(IDENTITY)
MADE_LABELS = frozenset({"alert", "sentence", "address", "page", "landed"})
"""Labels that no metric has and queries make."""
LEGEND = "{{source}} / {{export}} / {{partner}} {{data_type}} {{frequency}}"

SAMPLED = "15m"
"""How far apart the samples are by which an export that is no longer there is found."""
STATE_SAMPLED = "5m"
"""How far apart the states are of which a step shows the most urgent one."""
ABSENT_AT_MOST = "30d:1h"
"""How long an export may be retired, or over the limit, until its counters count as new when it comes back."""
CHOSEN = 'source=~"$source", export=~"$export"'
ONE = 'source="$source", export="$export", partner="$partner", data_type="$data_type", frequency="$frequency"'
OF_SOURCE = 'source=~"$source"'


def newest(metric: str, where: str, by: str = BY, before: str = "") -> str:
    """A metric that is computed from the ledger, whichever replica showed it.

    Args:
        metric: its name without the prefix.
        where: the selector.
        by: the labels to keep.
        before: how long ago, a duration; empty for now.
    """
    offset = f" offset {before}" if before else ""
    return f"max by ({by}) (dataexport_{metric}{{{where}}}{offset})"


def milliseconds(instant: str) -> str:
    """An instant as Grafana's date units want it; 0 stays 0, which is shown as a word."""
    return f"1000 * {instant}"


def grown(counter: str, where: str, by: str = BY) -> str:
    """By how much a metric of the ledger grew in the step that begins, in whole numbers, up to now in the last one.

    `increase` would extrapolate to fractions, and a step that ended would hide what happened since: up to a day.
    """
    step = "${__interval_ms}ms"
    end = f"max by ({by}) (last_over_time(dataexport_{counter}{{{where}}}[{step}] offset -{step}))"
    return f"clamp_min({end} - ({_at(counter, where, by, end)}), 0)"


def grown_before(counter: str, where: str, over: str, by: str = BY) -> str:
    """By how much a metric of the ledger grew before each instant.

    All of it, if its source was shown before and it was not: then it is new. Nothing, if neither was, since
    Prometheus then began to scrape an exporter with a past.

    Args:
        counter: its name without the prefix.
        where: the selector.
        over: how long it grew, a duration.
        by: the labels to keep, with source among them.
    """
    now = newest(counter, where, by)
    return f"clamp_min({now} - ({_at(counter, where, by, now, over)}), 0)"


def grown_in_range(counter: str, where: str, by: str = BY) -> str:
    """By how much it grew in the shown time, or since its first sample if Prometheus began to scrape within it."""
    now = newest(counter, where, by)
    first = f"min_over_time(({now})[$__range:{SAMPLED}])"
    return f"clamp_min({now} - ({_at(counter, where, by, now, '$__range')} or {first}), 0)"


def _at(counter: str, where: str, by: str, later: str, before: str = "") -> str:
    """What it was at the beginning: 0 if it is new, that is if its source was shown then and it was not."""
    offset = f" offset {before}" if before else ""
    last_seen = f"last_over_time(({newest(counter, where, by)})[{ABSENT_AT_MOST}]{offset})"
    source_was_shown = f"max by (source) (dataexport_webhook_last_accepted_timestamp_seconds{offset})"
    return f"{newest(counter, where, by, before)} or {last_seen} or 0 * {later} and on (source) {source_was_shown}"


def highest(metric: str, where: str, by: str = BY) -> str:
    """The highest value of a metric in each step, so that a long time range hides none that was short.

    That of this instant, if the step is shorter than the time between two scrapes.
    """
    of_step = f"max by ({by}) (max_over_time(dataexport_{metric}{{{where}}}[$__rate_interval]))"
    return f"({of_step} or {newest(metric, where, by)})"


def minutes(seconds: str) -> str:
    """Seconds as minutes to a tenth, for an axis: Grafana divides one of seconds at 33:20."""
    return f"round(({seconds}) / 60, 0.1)"


def counted(counter: str, where: str, by: str) -> str:
    """By how much something grew in each step that every process counts for itself."""
    return f"sum by ({by}) (increase(dataexport_{counter}{{{where}}}[$__rate_interval]))"


def is_overdue(where: str) -> str:
    """Exports past their deadline."""
    return _past("deadline", where)


def has_completed(where: str) -> str:
    """Exports that completed at least once."""
    return f"{newest('last_completed_timestamp_seconds', where)} > 0"


def is_muted(where: str) -> str:
    """Muted exports."""
    return f"{newest('muted', where)} == 1"


def is_stuck(where: str) -> str:
    """Exports with a run that is past its maximum runtime."""
    return _past("run_deadline", where)


def has_failed(where: str) -> str:
    """Exports whose newest failure came after their newest completion."""
    return f"{newest('last_failed_timestamp_seconds', where)} > {newest('last_completed_timestamp_seconds', where)}"


def is_not_started(where: str) -> str:
    """Exports past their start deadline."""
    return _past("start_deadline", where)


def has_no_schedule(where: str) -> str:
    """Exports without an interval that are not one-time ones, so that they can never be overdue."""
    may_have_one = f'{where}, frequency!="one-time", export!="other"'
    return f"{newest('interval_seconds', may_have_one)} == 0"


def condition(where: str, *, alert: bool = False) -> str:
    """The most urgent thing that is true of each export, as a code of `palette.CONDITIONS`.

    Args:
        where: the selector.
        alert: whether to add the address of the runbook of its alert as the label ``alert``, and what is wrong as
            the label ``sentence``, since Grafana wraps no number.
    """
    # The order is that of the exporter's own pages: the first that holds is what the export is.
    branches: tuple[tuple[Condition, str], ...] = (
        (MUTED, is_muted(where)),
        (NEVER_COMPLETED, f"{is_overdue(where)} unless {has_completed(where)}"),
        (IS_OVERDUE, is_overdue(where)),
        (IS_STUCK, is_stuck(where)),
        (RUN_FAILED, has_failed(where)),
        (NOT_STARTED, is_not_started(where)),
        (NO_SCHEDULE, has_no_schedule(where)),
        (RUNNING, f"{newest('runs_in_progress', where)} > 0"),
        (IS_FINE, newest("muted", where)),
    )
    terms = []
    for each, expression in branches:
        term = f"{each.code} + 0 * ({expression})"
        if alert and each.alert:
            term = f'label_replace({term}, "alert", "{RUNBOOKS}/{each.alert}.md", "", "")'
            term = f'label_replace({term}, "sentence", "{each.explained}", "", "")'
        terms.append(term)
    return ("\nor ignoring (alert, sentence) " if alert else "\nor ").join(terms)


def most_urgent(where: str) -> str:
    """The one export that needs someone first: of those in the most urgent state, the one furthest past its deadline.

    Nothing where nothing is wrong.
    """
    wrong = f"({condition(where)}) >= {NO_SCHEDULE.code}"
    overdue = f"time() - ({newest('deadline_timestamp_seconds', where)} > 0)"
    nearly_one = f"clamp(({overdue}) / 1e9, 0, 0.9) or 0 * {newest('muted', where)}"
    return f"topk(1, ({wrong}) + ({nearly_one}))"


def most_urgent_first(label: str, where: str) -> str:
    """The values of a label in the shown time, those of urgent exports first."""
    # Not each sample of the time, of which there may be too many.
    was_there = f"last_over_time(dataexport_export_info{{{where}}}[$__range:{SAMPLED}])"
    ranked = f"sort_desc(max by ({label}) ({condition(where)}) or -1 + 0 * max by ({label}) ({was_there}))"
    return ranked.replace("\n", " ")  # Grafana recognises the query of a variable in one line only


def most_urgent_in_range(where: str, count: int) -> str:
    """Those exports that were in an urgent state for the longest in the shown time."""
    # Ten times as much for each state, so that a minute of an urgent one outweighs hours of a harmless one.
    weight = f"10 ^ ({condition(where)})"
    return f"topk({count}, sum_over_time(({weight})[$__range:$__interval] @ end()))"


def highest_in_range(expression: str, count: int) -> str:
    """Those series that were the highest at any time of the shown time."""
    return f"topk({count}, max_over_time(({expression})[$__range:$__interval] @ end()))"


def most_urgent_of_step(where: str) -> str:
    """The most urgent state of each step, so that a long time range hides none that was short.

    The state of this instant, if none was urgent: or an export that runs for minutes would seem to run all day.
    """
    state = condition(where)
    return f"max_over_time(({state})[$__interval:{STATE_SAMPLED}]) >= {NO_SCHEDULE.code} or ({state})"


def no_export(where: str) -> str:
    """The code and the sentence of `palette.NO_EXPORT` if there is no export at all."""
    absent = f"{NO_EXPORT.code} * absent(dataexport_muted{{{where}}})"
    return f'label_replace({absent}, "sentence", "{NO_EXPORT.explained}", "", "")'


def if_page_is_known(expression: str) -> str:
    """The same with a label ``page``; nothing if the address of the status page is empty, since links would be broken.

    A table has a column for a label that any series has, but one for the value of a query that returns nothing, too.
    """
    address = f'label_replace(vector(1), "address", "{EXPORTER}", "", "")'
    named = f'label_replace({expression}, "page", "open", "", "")'
    return f"{named} and on () ({address} unless on (address) vector(1))"


def landed(where: str) -> str:
    """A series with a label ``landed`` for each export whose files are looked for: missing, yes or not yet."""
    missing = f"{newest('landing_missing_since_timestamp_seconds', where)} > 0"
    some = newest("landed_timestamp_seconds", where)
    words = (("missing", missing), ("yes", f"{some} > 0"), ("not yet", some))
    terms = [f'label_replace(0 * ({each}), "landed", "{word}", "", "")' for word, each in words]
    return "\nor ignoring (landed) ".join(terms)


def how_many(exports: str, where: str) -> str:
    """The number of some exports: 0 where there is none of them, and nothing where nothing is known at all."""
    return f"count({exports}) or 0 * count({newest('muted', where)})"


def time_left(deadline: str, where: str) -> str:
    """Seconds until a deadline, negative when past it; no sample where there is none."""
    return f"({newest(deadline, where)} > 0) - time()"


def share_of_deadline(where: str) -> str:
    """The age of the newest completion as a share of the age at which the export is overdue; not of muted ones."""
    completed = newest("last_completed_timestamp_seconds", where)
    deadline = newest("deadline_timestamp_seconds", where)
    return f"(time() - ({completed} > 0)) / (({deadline} > 0) - {completed}) unless {is_muted(where)}"


def _past(deadline: str, where: str) -> str:
    return f"({newest(f'{deadline}_timestamp_seconds', where)} > 0) < time()"
