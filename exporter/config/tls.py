"""Loads the TLS certificate of the webhook listener, and replaces it without a restart."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def load(certificate: Path, key: Path) -> ssl.SSLContext:
    """Create a server context with a certificate, its chain and its key.

    Raises:
        ValueError: they cannot be used; the message names the file and what would be right.
    """
    for path, content in ((certificate, "the certificate and its chain"), (key, "the key")):
        try:
            text = path.read_bytes()
        except OSError as error:
            message = f"{str(path)!r} cannot be read ({error.strerror}); give a file with {content} as PEM"
            raise ValueError(message) from error
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
    message = "the key is encrypted, and nobody is there to type its passphrase; give one without"
    raise ValueError(message)
