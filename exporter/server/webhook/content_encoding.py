"""Decodes the ``Content-Encoding`` of a body within a limit, so that a small body cannot fill the memory."""

from __future__ import annotations

import zlib

from exporter.domain.errors import PayloadError, PayloadTooLargeError, UnsupportedEncodingError

_IDENTITY = frozenset({"", "identity"})
_GZIP_WINDOW = 31
_RAW_WINDOW = -15
_ZLIB_WINDOW = 15
_WINDOWS = {
    "gzip": (_GZIP_WINDOW,),
    "x-gzip": (_GZIP_WINDOW,),
    "deflate": (_ZLIB_WINDOW, _RAW_WINDOW),  # some senders leave out zlib's header
}
"""The formats of each encoding, to be tried in this order."""
_MAX_SHOWN = 64


def decode(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Decode a body.

    Args:
        body: as it arrived.
        encoding: the header ``Content-Encoding``; empty if there is none.
        max_bytes: the limit of the decoded body, which is never exceeded in memory either.

    Raises:
        UnsupportedEncodingError: it has another encoding than gzip, deflate and identity, or several.
        PayloadTooLargeError: the decoded body has more than ``max_bytes``.
        PayloadError: the body does not have this encoding.
    """
    encoding = encoding.strip().lower()
    if encoding in _IDENTITY:
        return body
    windows = _WINDOWS.get(encoding)
    if windows is None:
        message = f"the Content-Encoding {encoding[:_MAX_SHOWN]!r} cannot be decoded; send gzip, deflate or identity"
        raise UnsupportedEncodingError(message)
    for window in windows:
        decompressor = zlib.decompressobj(window)
        try:
            decoded = decompressor.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(decoded) > max_bytes:
            message = f"the body has more than {max_bytes} bytes once decoded"
            raise PayloadTooLargeError(message)
        if not decompressor.eof:
            message = f"the body ends too early for its Content-Encoding {encoding}"
            raise PayloadError(message)
        if further := len(decompressor.unused_data):
            message = f"the body has {further} further byte{'s' * (further > 1)} after the end of its {encoding} data"
            raise PayloadError(message)
        return decoded
    message = f"the body is not {encoding}, although its Content-Encoding says so"
    raise PayloadError(message)
