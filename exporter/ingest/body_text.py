"""Converts a body to UTF-8 JSON where only one reading of it is possible. No I/O.

Senders put JSON into a field of a form, or encode it in UTF-16 or Latin-1. What could be read in two ways is refused
by a name for what it is, so that its sender can be corrected.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from urllib.parse import parse_qsl

from exporter.domain.errors import PayloadError

MAX_FIELDS = 100
MAX_NAMED_FIELDS = 5
MAX_NAME = 32

_UTF16_MARKS = (BOM_UTF16_LE, BOM_UTF16_BE)
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_LATIN_1 = {
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin-1", "latin1"), "latin-1"),
    **dict.fromkeys(("windows-1252", "cp1252"), "cp1252"),
}
_FORM = re.compile(rb"\s*[^\s{}\[\]\"'<>=&-][^\s{}\[\]\"'<>=&]*=")
_OTHER_FORMATS = {
    "a multipart form": re.compile(rb"\s*--[^\r\n]+\r?\n"),
    "XML or HTML": re.compile(rb"\s*<"),
}
_ADVICE = "send the JSON itself, or a form with one field that holds it"


def to_utf8(body: bytes, content_type: str = "") -> bytes:
    """Convert a body that is not JSON in UTF-8, and return any other as it is.

    Args:
        body: as it arrived, without any ``Content-Encoding``.
        content_type: the header, which matters only if its charset is Latin-1.

    Raises:
        PayloadError: the body is in another format, or may be read in several ways.
    """
    if body[:2] in _UTF16_MARKS or b"\0" in body[:4]:
        return _from_utf16(body)
    if body[:1] not in {b"{", b"["}:
        if _FORM.match(body):
            return _json_of_form(body)
        for name, pattern in _OTHER_FORMATS.items():
            if pattern.match(body):
                message = f"the body is {name}, and not JSON; {_ADVICE}"
                raise PayloadError(message)
    charset = _CHARSET.search(content_type)
    encoding = _LATIN_1.get(charset[1].lower()) if charset else None
    return body if encoding is None else _from_latin_1(body, encoding)


def _from_utf16(body: bytes) -> bytes:
    encoding = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        return body
    try:
        return body.decode(encoding).encode()
    except UnicodeDecodeError as error:
        message = f"the body is {encoding[:6].upper()}, but not valid at byte {error.start}"
        raise PayloadError(message) from error


def _from_latin_1(body: bytes, encoding: str) -> bytes:
    """Convert Latin-1, unless the bytes are UTF-8: hardly any text in Latin-1 happens to be valid UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError:
        try:
            return body.decode(encoding).encode()
        except UnicodeDecodeError:
            return body
    return body


def _json_of_form(body: bytes) -> bytes:
    try:
        fields = parse_qsl(body.decode().strip(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError as error:
        message = f"the body is a form, but not of UTF-8; {_ADVICE}"
        raise PayloadError(message) from error
    except ValueError as error:
        message = f"the body is a form of more than {MAX_FIELDS} fields; {_ADVICE}"
        raise PayloadError(message) from error
    documents = [value for _, value in fields if value.lstrip()[:1] in {"{", "["}]
    if len(documents) == 1:
        return documents[0].strip().encode()
    names = [repr(name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…") for name, _ in fields]
    more = f" and {len(names) - MAX_NAMED_FIELDS} more" if len(names) > MAX_NAMED_FIELDS else ""
    holding = f"{len(documents)} of them hold" if documents else "none of them holds"
    message = (
        f"the body is a form with the fields {', '.join(names[:MAX_NAMED_FIELDS])}{more}, and {holding} JSON; {_ADVICE}"
    )
    raise PayloadError(message)
