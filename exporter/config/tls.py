"""Loads the TLS certificate of the webhook listener, and replaces it without a restart."""

from __future__ import annotations

import re
import ssl
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.config.file_permissions import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_VERSION = 0xA0
_UTC_TIME = 0x17
"""Tags of elements of a certificate."""


def load(certificate: Path, key: Path) -> ssl.SSLContext:
    """Create a server context with a certificate, its chain and its key.

    Raises:
        ValueError: they cannot be used; the message names the file and what would be right.
    """
    for path, content in ((certificate, "the certificate and its chain"), (key, "the key")):
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ValueError(unreadable(path, error, f"a file with {content} as PEM")) from error
        if b"-----BEGIN " not in text:
            message = f"{str(path)!r} is not PEM; give a file with {content}"
            raise ValueError(message)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"the key {str(key)!r} does not belong to the certificate {str(certificate)!r}; give its own"
        else:
            message = (
                f"{str(certificate)!r} and {str(key)!r} cannot be used ({error.reason or error}); give both as PEM"
            )
        raise ValueError(message) from error
    return context


def expiry(pem: str) -> float:
    """Return when the first of the certificates in ``pem`` expires, in Unix seconds."""
    bodies = re.findall(r"-----BEGIN [A-Z0-9 ]*CERTIFICATE-----(.*?)-----END ", pem, re.DOTALL)
    return min(_not_after(b64decode("".join(body.split()))) for body in bodies)


def _not_after(der: bytes) -> float:
    """Return the end of the validity of a certificate, by RFC 5280, section 4.1."""
    _, certificate, _ = _element(der, 0)
    _, at, _ = _element(der, certificate)
    before_validity = 4 if der[at] == _VERSION else 3  # version if given, serial number, algorithm, issuer
    for _ in range(before_validity):
        _, _, at = _element(der, at)
    _, not_before, _ = _element(der, at)
    _, _, at = _element(der, not_before)
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:  # a year of two digits
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag, the start and the end of the content of the element that begins at ``at``."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    return tag, start, start + length


def reloading_context(newest: Callable[[], ssl.SSLContext | None]) -> ssl.SSLContext | None:
    """Create a listener context whose handshakes use the newest context, so that a certificate can be replaced.

    Args:
        newest: returns the context that was loaded last; None for plain HTTP.

    Returns:
        The context for the listener; None if there is no context now.
    """
    context = newest()

    def use_newest(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = newest() or connection.context

    if context is not None:
        context.sni_callback = use_newest  # called in every handshake, even if the client sends no server name
    return context


def _refuse_passphrase() -> str:
    message = "the key has a passphrase, which a service cannot type; give one without"
    raise ValueError(message)
