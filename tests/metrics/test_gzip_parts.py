"""A body put together from kept parts and a new one is one gzip member that any client reads."""

from __future__ import annotations

import gzip
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gzip_parts import CompressedBody, Engine, PartCompressor, compression_engine

plain = st.one_of(
    st.binary(max_size=2000),
    st.binary(min_size=1, max_size=50).map(lambda piece: piece * 3000),  # more than is checked at a time
)
ENGINES = [zlib, compression_engine()]
engines = pytest.mark.parametrize("by", ENGINES, ids=lambda each: each.__name__)


def body(compressor: PartCompressor, by: Engine, *texts: bytes) -> CompressedBody:
    parts = [compressor.compress(text) for text in texts]
    return CompressedBody(by, [part.deflated for part in parts], compressor.combine(part.sum for part in parts))


@engines
@given(kept=st.lists(plain, max_size=5), rest=plain)
def test_it_decompresses_to_all_parts(kept: list[bytes], rest: bytes, by: Engine) -> None:
    assert gzip.decompress(body(PartCompressor(by), by, *kept).gzip(rest)) == b"".join((*kept, rest))


@engines
@given(kept=st.lists(plain, max_size=5), rest=plain)
def test_it_is_a_single_member_since_browsers_and_curl_stop_after_the_first(
    kept: list[bytes], rest: bytes, by: Engine
) -> None:
    one_member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    assert one_member.decompress(body(PartCompressor(by), by, *kept).gzip(rest)) == b"".join((*kept, rest))
    assert one_member.eof
    assert one_member.unused_data == b""


@engines
@given(kept=st.lists(plain, max_size=100), rest=plain)
def test_it_is_read_again_as_plain_text_of_the_length_that_it_tells(kept: list[bytes], rest: bytes, by: Engine) -> None:
    whole = body(PartCompressor(by), by, *kept)

    assert whole.plain(rest) == b"".join((*kept, rest))
    assert whole.sum[1] == sum(map(len, kept))


@engines
@given(texts=st.lists(plain, max_size=5))
def test_a_sum_of_sums_is_the_sum_of_the_whole(texts: list[bytes], by: Engine) -> None:
    whole = b"".join(texts)

    assert PartCompressor(by).combine((zlib.crc32(text), len(text)) for text in texts) == (
        zlib.crc32(whole),
        len(whole),
    )


@engines
def test_parts_go_into_any_number_of_bodies_in_any_order(by: Engine) -> None:
    compressor = PartCompressor(by)
    one, two = (compressor.compress(text * 100) for text in (b"one\n", b"two\n"))

    assert compressor.inflate(two.deflated) == b"two\n" * 100
    for first, second in ((one, two), (two, one), (two, two)):
        both = CompressedBody(by, [first.deflated, second.deflated], compressor.combine([first.sum, second.sum]))
        assert gzip.decompress(both.gzip(b"")) == both.plain(b"")
        assert gzip.decompress(both.gzip(b"end"))[-7:-4] == (b"two" if second is two else b"one")


@pytest.mark.skipif(sys.platform != "linux", reason="isal is installed on Linux only")
def test_the_faster_library_compresses_where_it_is_installed() -> None:
    assert compression_engine().__name__ == "isal.isal_zlib"


def test_zlib_compresses_where_it_is_not() -> None:
    assert compression_engine("isal_that_is_not_installed") is zlib
