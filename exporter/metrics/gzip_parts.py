"""One gzip body out of parts that are compressed on their own, so that a part can be kept.

A gzip member is a header, a raw deflate stream, and the checksum and length of the whole
(RFC 1952). A deflate stream may be cut at any full flush (RFC 1951), so parts that end in one
follow each other in a single member, which every client reads to its end; several members in
one body would be allowed as well, but browsers and curl stop after the first.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COMPRESSION_LEVEL = 1
"""The level: a scrape crosses a local network, and level 9 takes ten times as long."""
PARTS_AT_A_TIME = 4
"""How many parts are inflated at a time: so few that their text fits a cache, and the whole never stands in memory."""

Checksum = tuple[int, int]
"""The CRC-32 and the length of a text."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no name, no time, fastest, any system
_ONES = 0xFFFFFFFF
_ZEROS = memoryview(bytes(1 << 16))


Bytes = bytes | memoryview


class Compressor(Protocol):
    """A stream that is being compressed."""

    def compress(self, data: Bytes, /) -> bytes:
        """Take more."""

    def flush(self, mode: int = ..., /) -> bytes:
        """Give out what was held back."""


class Decompressor(Protocol):
    """A stream that is being read."""

    def decompress(self, data: Bytes, /) -> bytes:
        """Take more."""


class Engine(Protocol):
    """What `zlib` and `isal.isal_zlib` have in common."""

    __name__: str

    def compressobj(self, level: int, method: int, wbits: int) -> Compressor:
        """A new stream."""

    def decompressobj(self, wbits: int) -> Decompressor:
        """A new stream."""

    def crc32(self, data: Bytes, value: int = 0, /) -> int:
        """A checksum, or its continuation."""


def compression_engine(name: str = "isal.isal_zlib") -> Engine:
    """The module that compresses: ``name`` where it is installed, which is several times as fast, else zlib."""
    try:
        found: Engine = importlib.import_module(name)
    except ImportError:
        return zlib
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """A compressed part.

    Attributes:
        deflated: its raw deflate up to a full flush.
        sum: of its plain text alone.
    """

    deflated: bytes
    sum: Checksum


class PartCompressor:
    """Compresses parts and reads them again. Not safe for several threads at once.

    A full flush forgets what came before, so one stream serves for all parts; to make a new
    one takes longer than to compress a part.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._deflate = engine.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._inflate = engine.decompressobj(-zlib.MAX_WBITS)
        # isal has it, and zlib from Python 3.15 on: half a microsecond in the place of four for 28 kB.
        self._combine = getattr(engine, "crc32_combine", self._combine_over_zeros)

    def compress(self, plain: bytes) -> Part:
        """Compress a part to be kept."""
        deflated = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_FULL_FLUSH)
        return Part(deflated, (self._engine.crc32(plain), len(plain)))

    def inflate(self, deflated: bytes) -> bytes:
        """The plain text of a part, or of several that follow each other."""
        return self._inflate.decompress(deflated)

    def combine(self, sums: Iterable[Checksum]) -> Checksum:
        """The sum of texts that follow each other, out of their own."""
        whole = total = 0
        for checksum, length in sums:
            whole = self._combine(whole, checksum, length)
            total += length
        return whole, total

    def _combine_over_zeros(self, first: int, second: int, length: int) -> int:
        """The checksum of two texts that follow each other, of which the second is so long."""
        crc32 = self._engine.crc32
        # The checksum is linear: what came before goes on as over so many zeros.
        first ^= _ONES
        while length > len(_ZEROS):
            first = crc32(_ZEROS, first)
            length -= len(_ZEROS)
        return crc32(_ZEROS[:length], first) ^ _ONES ^ second


@dataclass(frozen=True, slots=True)
class CompressedBody:
    """A body that is kept but for its end.

    Attributes:
        by: what compresses.
        pieces: raw deflate, each up to a full flush.
        sum: of the plain text of all.
    """

    engine: Engine
    pieces: Sequence[bytes]
    sum: Checksum

    @property
    def length(self) -> int:
        """Of the plain text, in bytes."""
        return self.sum[1]

    def gzip(self, rest: bytes) -> bytes:
        """As gzip, followed by ``rest``."""
        stream = self.engine.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        end = stream.compress(rest) + stream.flush(zlib.Z_FINISH)
        checksum, length = self.sum
        checksum, length = self.engine.crc32(rest, checksum), (length + len(rest)) & _ONES
        return b"".join((_HEADER, *self.pieces, end, struct.pack("<II", checksum, length)))

    def plain_pieces(self, rest: bytes) -> Iterator[bytes]:
        """As plain text, piece by piece, followed by ``rest``."""
        stream = self.engine.decompressobj(-zlib.MAX_WBITS)
        for first in range(0, len(self.pieces), PARTS_AT_A_TIME):
            yield stream.decompress(b"".join(self.pieces[first : first + PARTS_AT_A_TIME]))
        yield rest
