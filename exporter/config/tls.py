"""The certificate of the public listener."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def load(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context with a certificate, its chain and its key.

    Raises:
        ValueError: they cannot be used; with the file, and what would be right.
    """
    for path, wanted in ((certificate, "the certificate and its chain"), (key, "the key")):
        try:
            text = path.read_bytes()
        except OSError as error:
            message = f"{str(path)!r} cannot be read ({error.strerror}); give a file with {wanted} as PEM"
            raise ValueError(message) from error
        if b"-----BEGIN " not in text:
            message = f"{str(path)!r} is not PEM; give a file with {wanted}"
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


def reloading_context(newest: Callable[[], ssl.SSLContext | None]) -> ssl.SSLContext | None:
    """A listener's context whose handshakes use the newest one, so that a certificate can be replaced."""
    context = newest()

    def take_newest(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = newest() or connection.context

    if context is not None:
        context.sni_callback = take_newest  # called in every handshake, with or without a name
    return context


def _refuse_passphrase() -> str:
    message = "the key is encrypted, and nobody is there to type its passphrase; give one without"
    raise ValueError(message)
