"""What is over the limit: the same as if it were worked out anew, however it came about."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.exports import SEVERITIES, ExportKey
from exporter.domain.states import ExportState
from exporter.metrics.series_limit import DurationTotals, HiddenExports, SeriesLimit, combine
from exporter.projection.fold.runs import DURATION_BOUNDS

BUCKETS = len(DURATION_BOUNDS) + 1
PLAIN = ExportState("shop", "any", "", "", "", "UTC", declared=False)

instants = st.sampled_from([0.0, 0.0, 1.5, 1_800_000_000.25, 1_800_000_001.0])
counts = st.integers(0, 3)
states = st.builds(
    ExportState,
    source=st.just("shop"),
    export=st.just("any"),
    partner=st.text(max_size=3),
    data_type=st.just(""),
    frequency=st.just(""),
    timezone=st.just("UTC"),
    declared=st.booleans(),
    last_initiated=instants,
    last_completed=instants,
    last_failed=instants,
    last_received=instants,
    duration_buckets=st.lists(counts, min_size=BUCKETS, max_size=BUCKETS).map(tuple),
    duration_sum=st.floats(0, 1e9),
    in_progress=counts,
    running_since=instants,
    deadline=instants,
    muted=st.booleans(),
    severity=st.sampled_from(SEVERITIES),
    initiated=counts,
    completed=counts,
    failed=counts,
    abandoned=counts,
    recurring=st.booleans(),
    slots=counts,
)
keys = st.integers(0, 5).map(lambda number: ExportKey("shop", "group", "any", str(number)))


def recomputed(kept: list[ExportState]) -> ExportState:
    since = [state.running_since for state in kept if state.running_since]
    due = [state for state in kept if state.deadline and not state.muted]
    return PLAIN._replace(
        deadline=min((state.deadline for state in due), default=0),
        severity=min((state.severity for state in due), key=SEVERITIES.index, default="warning"),
        export="other",
        last_initiated=max(state.last_initiated for state in kept),
        last_completed=max(state.last_completed for state in kept),
        last_failed=max(state.last_failed for state in kept),
        last_received=max(state.last_received for state in kept),
        duration_buckets=tuple(sum(state.duration_buckets[n] for state in kept) for n in range(BUCKETS)),
        duration_sum=float(sum(Fraction(state.duration_sum) for state in kept)),
        in_progress=sum(state.in_progress for state in kept),
        running_since=min(since, default=0),
        initiated=sum(state.initiated for state in kept),
        completed=sum(state.completed for state in kept),
        failed=sum(state.failed for state in kept),
        abandoned=sum(state.abandoned for state in kept),
    )


@given(st.lists(st.tuples(keys, states | st.none()), max_size=30))
def test_what_is_kept_up_is_what_would_be_added_up_anew(steps: list[tuple[ExportKey, ExportState | None]]) -> None:
    hidden = HiddenExports()
    kept: dict[ExportKey, ExportState] = {}
    for key, state in steps:
        if state is not None:
            hidden.update(key, state)
            kept[key] = state
        elif key in hidden:
            hidden.remove(key)
            del kept[key]
        assert set(hidden) == set(kept)
        assert len(hidden) == len(kept)
        if kept:
            assert (
                hidden.combined_state("shop", "UTC")
                == recomputed(list(kept.values()))
                == combine("shop", list(kept.values()))
            )


@given(st.lists(st.floats(0, 1e12), min_size=1))
def test_durations_are_the_same_in_whatever_order_they_come_and_go(values: list[float]) -> None:
    durations = DurationTotals()
    for value in values:
        durations.add(value, [1] * BUCKETS)
        durations.add(value / 3, [0] * BUCKETS)
    for value in sorted(values):
        durations.subtract(value / 3, [0] * BUCKETS)
    assert durations.exports == len(values)
    assert durations.sum == float(sum(map(Fraction, values)))
    assert durations.buckets == (len(values),) * BUCKETS


@given(st.integers(1, 4), st.lists(st.tuples(keys, st.integers(0, 6) | st.none()), max_size=60))
def test_the_first_born_are_admitted_and_who_moves_for_them_is_told(
    most: int, steps: list[tuple[ExportKey, int | None]]
) -> None:
    limit = SeriesLimit(most)
    first_sequences: dict[ExportKey, int] = {}
    admitted: set[ExportKey] = set()
    for key, first_sequence in steps:
        if first_sequence is None:
            moved = limit.remove(key)
            first_sequences.pop(key, None)
        else:
            moved = limit.add(key, first_sequence)
            first_sequences[key] = first_sequence
        expected = set(sorted(first_sequences, key=lambda each: (first_sequences[each], each))[:most])
        assert {each for each in first_sequences if limit.admits(each)} == expected
        assert not limit.admits(ExportKey("shop", "group", "any", "never there"))
        assert moved == (admitted ^ expected) - {key}
        admitted = expected


def test_one_that_was_born_anew_and_back_again_moves_up_once() -> None:
    limit = SeriesLimit(1)
    first, second, third = (ExportKey("shop", "group", "any", name) for name in ("a", "b", "c"))
    for key, first_sequence in (
        (first, 1),
        (second, 2),
        (third, 3),
        (second, 4),
        (second, 2),
        (second, 4),
        (second, 2),
    ):
        limit.add(key, first_sequence)
    assert limit.remove(first) == {second}
    assert limit.remove(second) == {third}
    assert limit.admits(third)
