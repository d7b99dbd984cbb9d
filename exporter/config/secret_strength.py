"""Refuses secrets that are short enough to guess, and one secret for two doors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MIN_SECRET_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Secret:
    """A token or a password of the configuration.

    Attributes:
        door: what it opens: a source or the admin listener.
        setting: the setting that it comes from.
        place: the setting with its file, or with the environment.
        text: the secret.
    """

    door: str
    setting: str
    place: str
    text: str = field(repr=False)


def problems(secrets: Iterable[Secret]) -> Iterator[str]:
    """Yield a problem for every secret that is short, or that opens another door as well; no secret is shown."""
    first_of: dict[str, Secret] = {}
    for secret in secrets:
        length = len(secret.text.strip())
        if length < MIN_SECRET_CHARACTERS:
            yield (
                f"{secret.place}: a secret has {length} character{'' if length == 1 else 's'}; give at least "
                f"{MIN_SECRET_CHARACTERS}, such as the output of: openssl rand -hex 32"
            )
        first = first_of.setdefault(secret.text, secret)
        if first.door != secret.door:
            yield f"{secret.place}: the same secret is used by {first.setting}; give each its own"
