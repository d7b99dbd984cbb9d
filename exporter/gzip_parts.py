"""One gzip body out of parts that are compressed on their own, so that a part can be kept.

A gzip member is a header, a raw deflate stream, and the checksum and length of the whole
(RFC 1952). A deflate stream may be cut at any full flush (RFC 1951), so parts that end in one
follow each other in a single member, which every client reads to its end; several members in
one body would be allowed as well, but browsers and curl stop after the first.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

FASTEST = 1
"""The level: a scrape crosses a local network, and level 9 takes ten times as long."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no name, no time, fastest, any system


@dataclass(frozen=True, slots=True)
class Part:
    """A compressed part.

    Attributes:
        plain: what it holds.
        deflated: that, as raw deflate up to a full flush.
        checksum: the CRC-32 of ``plain`` alone.
    """

    plain: bytes
    deflated: bytes
    checksum: int


def compress(plain: bytes) -> Part:
    """Compress a part to be kept."""
    stream = zlib.compressobj(FASTEST, wbits=-zlib.MAX_WBITS)
    deflated = stream.compress(plain) + stream.flush(zlib.Z_FULL_FLUSH)
    return Part(plain, deflated, zlib.crc32(plain))


def join(kept: Part, rest: bytes) -> bytes:
    """The gzip body of a kept part and what follows it."""
    stream = zlib.compressobj(FASTEST, wbits=-zlib.MAX_WBITS)
    end = stream.compress(rest) + stream.flush()
    checksum = zlib.crc32(rest, kept.checksum)
    length = (len(kept.plain) + len(rest)) & 0xFFFFFFFF
    return b"".join((_HEADER, kept.deflated, end, struct.pack("<II", checksum, length)))
