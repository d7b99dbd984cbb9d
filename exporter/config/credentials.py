"""Who may post: bearer or custom-header tokens and Basic, compared in constant time as bytes."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class Headers(Protocol):
        """What is asked of a request's headers; names in any case."""

        def get(self, name: str, default: str, /) -> str:
            """The value of a header."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a source or the admin listener; nothing at all where all of it is empty.

    Attributes:
        tokens: any of them is valid, so that two are while one replaces the other.
        header: where a token comes in a header of its own and not in ``Authorization: Bearer``.
        basic: (user name, password) pairs.
    """

    tokens: tuple[str, ...] = field(default=(), repr=False)
    header: str = ""
    basic: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    _tokens: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    _pairs: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tokens", tuple(_secret(each) for each in self.tokens))
        object.__setattr__(self, "_pairs", tuple(_secret(f"{user}:{word}") for user, word in self.basic))

    @property
    def are_required(self) -> bool:
        """Whether anything has to be shown."""
        return bool(self.tokens or self.basic)

    def accepts(self, headers: Headers) -> bool:
        """Whether a request with these headers may pass; every secret is compared, always."""
        if not self.are_required:
            return True
        scheme, _, rest = headers.get("Authorization", "").partition(" ")
        scheme, shown = scheme.lower(), _bytes(rest.strip())
        token = _bytes(headers.get(self.header, "")) if self.header else shown if scheme == "bearer" else b""
        pair = _decoded(shown) if scheme == "basic" else b""
        matches = [hmac.compare_digest(token, each) for each in self._tokens]
        matches += [hmac.compare_digest(pair, each) for each in self._pairs]
        return any(matches) and bool(token or pair)  # an empty secret opens nothing


def _bytes(text: str) -> bytes:
    """A header's bytes; WSGI hands them over as Latin-1 text."""
    return text.encode("latin-1", "replace")


def _secret(text: str) -> bytes:
    """A secret's bytes; from the environment it may hold some that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _decoded(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
