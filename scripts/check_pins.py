#!/usr/bin/env python3
"""Check the pins: do they satisfy pyproject.toml, name no address, and install without a compiler on each platform?

The last question needs no download. uv resolves requirements/landing.txt, which contains all of requirements/run.txt,
for each platform and Python from a lock file
that lists only wheels whose hashes are pinned, with their tags and the markers as they are on that platform.
A file that was uploaded to a pinned version after the pins were compiled is no problem: pip ignores it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from monitoring import ROOT

UV = str(Path(sys.executable).with_name("uv"))
# uv tries every tag that is compatible with these: manylinux up to 2.28, musllinux up to 1.2, macOS up to 13.
ARCHITECTURES = ("x86_64", "aarch64")
SYSTEMS = ("manylinux_2_28", "unknown-linux-musl", "apple-darwin")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

_HASH = re.compile(r"--hash=sha256:(\w+)")
_ADDRESS = re.compile(r"https?://|^(?:-i|--(?:extra-)?index-url|--find-links)", re.MULTILINE)
_WHEEL = re.compile(r'\{ url = [^{}]*\{ sha256 = "(\w+)" \} \},?')
_SDIST = re.compile(r"^sdist = .*\n", re.MULTILINE)


def hashes(requirements: str) -> dict[str, set[str]]:
    """Return the hashes of each requirement, which is identified by its version and its marker."""
    blocks = re.split(r"\n(?=\S)", requirements)
    return {block.partition("\n")[0].removesuffix(" \\"): set(_HASH.findall(block)) for block in blocks}


def problems(pinned: str, compiled: str) -> list[str]:
    """Compare pins with those compiled today, which may have more hashes."""
    before, today = hashes(pinned), hashes(compiled)
    found = [f"{name} is pinned, but not needed" for name in before.keys() - today.keys()]
    found += [f"{name} is needed, but not pinned" for name in today.keys() - before.keys()]
    found += [
        f"{name} has a hash of no file of that version, or none at all"
        for name in before.keys() & today.keys()
        if not before[name] or before[name] - today[name]
    ]
    return sorted(found)


def only_pinned_wheels(lock: str, requirements: str) -> str:
    """Remove from a lock file what is no wheel with a pinned hash."""
    pinned = set(_HASH.findall(requirements))
    return _WHEEL.sub(lambda wheel: wheel[0] if wheel[1] in pinned else "", _SDIST.sub("", lock))


def without_wheels(lock: Path) -> list[str]:
    """Return a problem for each platform and Python on which not all of a lock file can be installed."""
    found: list[str] = []
    for architecture, system, python in product(ARCHITECTURES, SYSTEMS, PYTHONS):
        platform = f"{architecture}-{system}"
        command = [UV, "pip", "install", "--offline", "--no-cache", "--quiet", "--dry-run", "--only-binary", ":all:"]
        command += ["--target", str(lock.parent / "nothing"), "--python-platform", platform, "--python-version", python]
        result = subprocess.run([*command, "--requirements", str(lock)], capture_output=True, text=True, check=False)
        if result.returncode:
            found.append(f"{platform} with Python {python}: {result.stderr.strip()}")
    return found


def main() -> int:
    """Print the problems of the pins, and return 1 if there are any."""
    names = ("run", "landing", "dev", "build", "dist", "docs", "audit")
    pins = {name: (ROOT / "requirements" / f"{name}.txt").read_text("utf-8") for name in names}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([ROOT / "scripts" / "compile-pins", folder], check=True)
        found = [
            f"requirements/{name}.txt: {problem}; run: make pins"
            for name, text in pins.items()
            for problem in problems(text, (Path(folder) / f"{name}.txt").read_text("utf-8"))
        ]
        found += [
            f"requirements/{name}.txt has an address; pins carry hashes only: {address[0]}"
            for name, text in pins.items()
            for address in _ADDRESS.finditer(text)
        ]
        lock = Path(folder) / "pylock.landing.toml"
        command = [UV, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-deps"]
        command += ["--format", "pylock.toml", "--output-file", str(lock), "requirements/landing.txt"]
        subprocess.run(command, cwd=ROOT, check=True)
        lock.write_text(only_pinned_wheels(lock.read_text("utf-8"), pins["landing"]), "utf-8")
        found += [f"requirements/landing.txt: {problem}" for problem in without_wheels(lock)]
    for problem in found:
        print(f"check-pins: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
