"""Compressed bodies are decoded up to the limit of a request, and never further."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from exporter.domain.errors import PayloadError, PayloadTooLargeError, UnsupportedEncodingError
from exporter.server.webhook.content_encoding import decode

BODY = b'{"a": "%b"}' % (b"x" * 500)
RAW_DEFLATE = zlib.compressobj(wbits=-15)
DEFLATED = RAW_DEFLATE.compress(BODY) + RAW_DEFLATE.flush()
GZIPPED = gzip.compress(BODY, mtime=0)  # without a time, as the parameters of a test are also its name


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", BODY),
        ("identity", BODY),
        ("gzip", GZIPPED),
        (" GZip ", GZIPPED),
        ("x-gzip", GZIPPED),
        ("deflate", zlib.compress(BODY)),
        ("deflate", DEFLATED),
    ],
)
def test_a_body_is_decoded_up_to_exactly_the_limit(encoding: str, body: bytes) -> None:
    assert decode(body, encoding, len(BODY)) == BODY
    if encoding.strip().lower() not in {"", "identity"}:
        with pytest.raises(PayloadTooLargeError, match=f"more than {len(BODY) - 1} bytes once decoded"):
            decode(body, encoding, len(BODY) - 1)


def test_an_empty_body_may_be_compressed() -> None:
    assert decode(gzip.compress(b""), "gzip", 10) == b""


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "*", "gzip;q=1", "x" * 99])
def test_any_other_encoding_is_refused_by_its_name(encoding: str) -> None:
    with pytest.raises(UnsupportedEncodingError, match="send gzip, deflate or identity") as caught:
        decode(BODY, encoding, 1000)
    assert encoding[:64] in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("encoding", "body", "problem"),
    [
        ("gzip", BODY, "is not gzip"),
        ("gzip", b"", "ends too early"),
        ("gzip", zlib.compress(BODY), "is not gzip"),
        ("gzip", GZIPPED[:-1], "ends too early"),
        ("gzip", GZIPPED[:20], "ends too early"),
        ("gzip", GZIPPED + b"x", "1 further byte"),
        ("gzip", GZIPPED[:-5] + b"xxxxx", "is not gzip"),
        ("deflate", BODY, "is not deflate"),
        ("deflate", zlib.compress(BODY)[:-1], "ends too early"),
        ("deflate", DEFLATED + b"xx", "2 further bytes"),
    ],
)
def test_a_body_that_is_not_what_its_header_says_is_refused(encoding: str, body: bytes, problem: str) -> None:
    with pytest.raises(PayloadError, match=problem):
        decode(body, encoding, 1000)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_bomb_is_refused_without_its_expansion(encoding: str, compress: type) -> None:
    bomb = compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLargeError):
            decode(bomb, encoding, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
