"""Assembles one gzip body from separately compressed parts, so that unchanged parts need no recompression.

A gzip member (RFC 1952) is a header, a raw deflate stream, and the checksum and length of the plain text. A deflate
stream (RFC 1951) can be cut at any full flush, so parts that end in one can be concatenated into a single member.
Concatenating several members would be valid too, but browsers and curl stop after the first.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMPRESSION_LEVEL = 1
"""The fastest level: a scrape crosses a local network, and level 9 takes ten times as long."""

Checksum = tuple[int, int]
"""The CRC-32 and the length of a text."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no name, no time, fastest, any system
_GZIP = 16
"""Added to the window size, it means a gzip header and trailer."""
_ONES = 0xFFFFFFFF
_ZEROS = memoryview(bytes(1 << 16))

Bytes = bytes | memoryview


class Compressor(Protocol):
    """A compression stream."""

    def compress(self, data: Bytes, /) -> bytes:
        """Compress more data."""

    def flush(self, mode: int = ..., /) -> bytes:
        """Return the buffered output."""


class Decompressor(Protocol):
    """A decompression stream."""

    def decompress(self, data: Bytes, /) -> bytes:
        """Decompress more data."""


class Engine(Protocol):
    """The functions that `zlib` and `isal.isal_zlib` have in common."""

    __name__: str

    def compressobj(self, level: int, method: int, wbits: int) -> Compressor:
        """Start a compression stream."""

    def decompressobj(self, wbits: int) -> Decompressor:
        """Start a decompression stream."""

    def decompress(self, data: Bytes, /, *, wbits: int, bufsize: int) -> bytes:
        """Decompress a whole text; ``bufsize`` is one byte more than its size, or it is copied."""

    def crc32(self, data: Bytes, value: int = 0, /) -> int:
        """Return the checksum of data that follows data with the checksum ``value``."""


def compression_engine(name: str = "isal.isal_zlib") -> Engine:
    """Return the module ``name`` if it is installed, otherwise zlib, which is several times slower."""
    try:
        engine: Engine = importlib.import_module(name)
    except ImportError:
        return zlib
    return engine


@dataclass(frozen=True, slots=True)
class Part:
    """A compressed part of a body.

    Attributes:
        deflated: raw deflate data that ends with a full flush.
        sum: the checksum and length of the part's plain text.
    """

    deflated: bytes
    sum: Checksum


class PartCompressor:
    """Compresses and inflates parts. Not thread-safe.

    One stream serves for all parts, because a full flush resets it; creating a stream takes longer than compressing
    a part.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._deflate = engine.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._inflate = engine.decompressobj(-zlib.MAX_WBITS)

    def compress(self, plain: bytes) -> Part:
        """Compress one part."""
        deflated = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_FULL_FLUSH)
        return Part(deflated, (self._engine.crc32(plain), len(plain)))

    def inflate(self, deflated: bytes) -> bytes:
        """Return the plain text of one part, or of several concatenated parts."""
        return self._inflate.decompress(deflated)

    def combine(self, sums: Iterable[Checksum]) -> Checksum:
        """Return the checksum and length of a concatenation, given those of its parts."""
        return _combine(self._engine, sums)


def _combine(engine: Engine, sums: Iterable[Checksum]) -> Checksum:
    # isal has crc32_combine, and so does zlib from Python 3.15: 0.5 µs instead of 4 µs for 28 kB.
    combine_two = getattr(engine, "crc32_combine", None) or partial(_combine_over_zeros, engine)
    total_checksum = total_length = 0
    for checksum, length in sums:
        total_checksum = combine_two(total_checksum, checksum, length)
        total_length += length
    return total_checksum, total_length


def _combine_over_zeros(engine: Engine, first: int, second: int, length: int) -> int:
    """Return the checksum of two concatenated texts; ``length`` is that of the second."""
    # CRC-32 is linear: the first text contributes the same as if it were followed by zeros.
    first ^= _ONES
    while length > len(_ZEROS):
        first = engine.crc32(_ZEROS, first)
        length -= len(_ZEROS)
    return engine.crc32(_ZEROS[:length], first) ^ _ONES ^ second


@dataclass(frozen=True, slots=True)
class CompressedBody:
    """A compressed body that lacks only its last text, which differs for every request.

    Attributes:
        engine: compresses the last text.
        pieces: raw deflate data; each piece ends with a full flush.
        sum: the checksum and length of the plain text of all pieces.
    """

    engine: Engine
    pieces: Sequence[bytes]
    sum: Checksum

    def followed_by(self, part: Part) -> CompressedBody:
        """Return this body with another part at its end."""
        return CompressedBody(self.engine, (*self.pieces, part.deflated), _combine(self.engine, (self.sum, part.sum)))

    def gzip(self, rest: bytes) -> bytes:
        """Return the pieces followed by ``rest``, as one gzip member."""
        stream = self.engine.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        end = stream.compress(rest) + stream.flush(zlib.Z_FINISH)
        checksum, length = self.sum
        trailer = struct.pack("<II", self.engine.crc32(rest, checksum), (length + len(rest)) & _ONES)
        return b"".join((_HEADER, *self.pieces, end, trailer))

    def plain(self, rest: bytes) -> bytes:
        """Return the plain text of the pieces followed by ``rest``.

        It is inflated at once into one block of its size, because many small ones would stay with the process.
        """
        size = self.sum[1] + len(rest)
        return self.engine.decompress(self.gzip(rest), wbits=_GZIP + zlib.MAX_WBITS, bufsize=size + 1)
