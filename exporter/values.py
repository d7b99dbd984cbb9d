"""What makes a class one of plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

Value = TypeVar("Value")


@dataclass_transform(frozen_default=True)
def value(cls: type[Value]) -> type[Value]:
    """Make a dataclass, with slots and a hash, that is frozen for the type checker and not when it runs.

    For what is made by the thousand: a frozen dataclass sets every field through a function, so
    that an event takes 1 µs to make in the place of 0.16.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
