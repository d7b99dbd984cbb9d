"""Which of the loaded terms are in effect when."""

from __future__ import annotations

import pytest

from exporter.domain.terms import Terms, TermsChange, in_effect

DAILY, OFTEN = Terms(86_400), Terms(14_400, 600)


@pytest.mark.parametrize(
    ("loaded", "changes"),
    [
        ([], ()),
        ([(1, DAILY), (2, DAILY), (3, OFTEN)], ((1, DAILY), (3, OFTEN))),
        ([(1, DAILY), (3, OFTEN), (2, DAILY)], ((1, DAILY),)),
        ([(1, DAILY), (5, OFTEN), (2, OFTEN)], ((1, DAILY), (2, OFTEN))),
        ([(9, DAILY), (2, OFTEN), (2, DAILY)], ((2, DAILY),)),
    ],
)
def test_the_terms_that_were_loaded_last_win_whatever_the_clocks_showed(
    loaded: list[tuple[float, Terms]], changes: tuple[tuple[float, Terms], ...]
) -> None:
    assert in_effect(TermsChange(*each) for each in loaded) == changes
