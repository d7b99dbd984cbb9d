"""A program that sends bodies in chunks of one byte over many connections, until it is ended.

It is a process of its own, so that it does not slow down the senders of the test.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

STRANGERS = 200
HEAD = "POST /webhooks/clevertap/{} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"1\r\nx\r\n" * 40_000


async def attack(port: int, source: str) -> None:
    """Send one body after the other, each on a new connection."""
    while True:
        with suppress(OSError):  # refused while it sends
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD.format(source).encode() + CHUNKS)
            await reader.read()  # the refusal: a flood of connections would be another attack
            writer.close()
            await writer.wait_closed()


async def main(port: int, source: str) -> None:
    """Attack over `STRANGERS` connections at a time."""
    await asyncio.gather(*(attack(port, source) for _ in range(STRANGERS)))


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
