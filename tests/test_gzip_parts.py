"""A body put together from a kept part and a new one is one gzip member that any client reads."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter import gzip_parts

plain = st.one_of(st.binary(max_size=2000), st.binary(min_size=1, max_size=50).map(lambda piece: piece * 3000))


@given(plain, plain)
def test_it_decompresses_to_both_parts(first: bytes, second: bytes) -> None:
    assert gzip.decompress(gzip_parts.join(gzip_parts.compress(first), second)) == first + second


@given(plain, plain)
def test_it_is_a_single_member_since_browsers_and_curl_stop_after_the_first(first: bytes, second: bytes) -> None:
    one_member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    assert one_member.decompress(gzip_parts.join(gzip_parts.compress(first), second)) == first + second
    assert one_member.eof
    assert one_member.unused_data == b""


def test_a_kept_part_serves_more_than_once() -> None:
    kept = gzip_parts.compress(b"kept\n" * 100)

    assert [gzip.decompress(gzip_parts.join(kept, rest)) for rest in (b"one", b"two")] == [
        b"kept\n" * 100 + b"one",
        b"kept\n" * 100 + b"two",
    ]
