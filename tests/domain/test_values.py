"""A value is equal by its fields, can be a key, and may be changed only by making another."""

from __future__ import annotations

import pytest

from builders import at, event


def test_equal_fields_make_equal_values_and_one_key() -> None:
    once, again = event("initiated", at("0:00")), event("initiated", at("0:00"))
    assert once == again
    assert len({once, again}) == 1
    assert once != again._replace(sequence=1)
    assert again.sequence == 0


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        event("initiated", at("0:00")).sequence = 1  # type: ignore[misc]
