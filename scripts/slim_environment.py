#!/usr/bin/env python3
"""Remove from a virtual environment what an image does not need: symbols, sources of extensions, other commands.

usage: slim_environment.py ENVIRONMENT COMMAND
"""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path

ELF_64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
SOURCES = ("*.c", "*.cpp", "*.h", "*.pxd", "*.pyi", "*.pyx")
TEST_FOLDERS = ("testing", "tests")
UNUSED = ("sqlalchemy/dialects/mssql", "sqlalchemy/dialects/mysql", "sqlalchemy/dialects/oracle")


def strip(library: Path) -> int:
    """Truncate a shared library after what is loaded, which removes symbols and debug information.

    Only a tool that inspects the file needs the rest: a library is loaded by its program headers alone.

    Returns:
        How many bytes were removed.
    """
    content = bytearray(library.read_bytes())
    if not content.startswith(ELF_64_LITTLE_ENDIAN):
        return 0
    (headers,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    end = headers + size * count
    for header in range(headers, end, size):
        (offset,) = struct.unpack_from("<Q", content, header + 8)
        (length,) = struct.unpack_from("<Q", content, header + 32)
        end = max(end, offset + length)
    struct.pack_into("<Q", content, 40, 0)  # there are no section headers any more: no offset, size, number or names
    struct.pack_into("<HHH", content, 58, 0, 0, 0)
    library.write_bytes(content[:end])
    return len(content) - int(end)


def main() -> None:
    """Slim an environment, and print how much was removed."""
    environment, command = Path(sys.argv[1]), sys.argv[2]
    [packages] = environment.glob("lib/python3.*/site-packages")
    for program in (environment / "bin").iterdir():
        if not program.name.startswith("python") and program.name != command:
            program.unlink()
    for name in UNUSED:
        shutil.rmtree(packages / name)
    for name in TEST_FOLDERS:
        for folder in packages.glob(f"*/{name}"):
            shutil.rmtree(folder)
    for pattern in SOURCES:
        for source in packages.rglob(pattern):
            source.unlink()
    removed = sum(strip(library) for library in packages.rglob("*.so*"))
    print(f"stripped {removed / 1e6:.0f} MB from shared libraries")


if __name__ == "__main__":
    main()
