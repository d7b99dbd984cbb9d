"""Checks the credentials of a request: a bearer token, a token in a custom header, or HTTP Basic."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class Headers(Protocol):
        """Request headers; names are case-insensitive."""

        def get(self, name: str, default: str, /) -> str:
            """Return the value of a header."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a source or the admin listener accepts; without any, it accepts every request.

    Attributes:
        tokens: the valid tokens; there are several while one is being rotated.
        header: the header that carries the token; empty for ``Authorization: Bearer``.
        basic: the valid (user name, password) pairs.
    """

    tokens: tuple[str, ...] = field(default=(), repr=False)
    header: str = ""
    basic: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    _tokens: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    _pairs: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tokens", tuple(_secret(token) for token in self.tokens))
        object.__setattr__(self, "_pairs", tuple(_secret(f"{user}:{password}") for user, password in self.basic))

    @property
    def are_required(self) -> bool:
        """Whether a request needs credentials."""
        return bool(self.tokens or self.basic)

    def accepts(self, headers: Headers) -> bool:
        """Whether a request with these headers is authenticated.

        The time taken does not depend on which secret matches: all are compared, each in constant time.
        """
        if not self.are_required:
            return True
        scheme, _, parameters = headers.get("Authorization", "").partition(" ")
        scheme, credentials = scheme.lower(), _bytes(parameters.strip())
        token = _bytes(headers.get(self.header, "")) if self.header else credentials if scheme == "bearer" else b""
        pair = _base64_decoded(credentials) if scheme == "basic" else b""
        return self._match(token, pair)

    def accepts_typed(self, user: str, secret: str) -> bool:
        """Whether a person typed a user name and its password, or a token and no user name; as fast as `accepts`."""
        return self._match(b"", _secret(f"{user}:{secret}")) if user else self._match(_secret(secret), b"")

    @property
    def fingerprint(self) -> bytes:
        """Bytes that change with the credentials, and do not give them away."""
        digest = hashlib.sha256()
        for secret in (*self._tokens, b"", *self._pairs):
            digest.update(hashlib.sha256(secret).digest())
        return digest.digest()

    def _match(self, token: bytes, pair: bytes) -> bool:
        matches = [hmac.compare_digest(token, valid) for valid in self._tokens]
        matches += [hmac.compare_digest(pair, valid) for valid in self._pairs]
        return any(matches) and bool(token or pair)  # an empty token never matches


def _bytes(text: str) -> bytes:
    """Return the bytes of a header, which WSGI decodes as Latin-1."""
    return text.encode("latin-1", "replace")


def _secret(text: str) -> bytes:
    """Return the bytes of a secret, which in an environment variable may be invalid UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _base64_decoded(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
