#!/usr/bin/env python3
"""Build the source distribution and the wheel into dist/, the same bytes from the same commit.

The wheel is built from the source distribution. Links of the README point to the repository, because an index of
packages shows the page without the files beside it.

usage: build_dist.py [OUTPUT_FOLDER]
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from monitoring import ROOT
from mutation_copies import files

REPOSITORY = "https://github.com/dataexport/dataexport-exporter"
_LINK = re.compile(r"(?P<image>!?)(?P<text>\[[^\]]*\])\((?!https?:|#)(?P<target>[^)]+)\)")
_BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def with_absolute_links(readme: str, version: str) -> str:
    """Point relative links and images of the README to the files of a release."""

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}{link['text']}({REPOSITORY}/{kind}/v{version}/{link['target']})"

    return _LINK.sub(absolute, readme)


def without_times(archive: Path, seconds: int) -> None:
    """Rewrite a source distribution with one time and one owner for all files, sorted by name."""
    with tarfile.open(archive) as source, tempfile.TemporaryFile() as plain:
        with tarfile.open(fileobj=plain, mode="w") as target:
            for member in sorted(source.getmembers(), key=lambda each: each.name):
                member.mtime, member.uid, member.gid, member.uname, member.gname = seconds, 0, 0, "", ""
                member.mode, member.pax_headers = (0o755 if member.mode & 0o100 else 0o644), {}
                target.addfile(member, source.extractfile(member))
        plain.seek(0)
        with archive.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=seconds) as compressed:
            shutil.copyfileobj(plain, compressed)


def build(kind: str, folder: Path, output: Path, seconds: int) -> Path:
    """Build in a folder, and return what was built.

    Args:
        kind: ``build_sdist`` or ``build_wheel``.
        folder: the sources.
        output: the folder for the result.
        seconds: the time of all files in it, in Unix seconds.
    """
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(seconds)}
    command = [sys.executable, "-c", _BUILD, kind, str(output)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"build-dist: {kind} failed:\n{done.stdout}{done.stderr}")
    return output / done.stdout.splitlines()[-1]


def main() -> None:
    """Build both, and print their paths."""
    output = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").absolute()
    output.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    time_of_commit = ["git", "log", "-1", "--format=%ct"]
    seconds = int(subprocess.run(time_of_commit, cwd=ROOT, capture_output=True, check=True).stdout)
    with tempfile.TemporaryDirectory() as temporary:
        sources = Path(temporary) / "sources"
        for name in files():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, sources / name, follow_symlinks=False)
        version = tomllib.loads((sources / "pyproject.toml").read_text("utf-8"))["project"]["version"]
        readme = sources / "README.md"
        readme.write_text(with_absolute_links(readme.read_text("utf-8"), version), "utf-8")
        archive = build("build_sdist", sources, output, seconds)
        without_times(archive, seconds)
        with tarfile.open(archive) as unpacked:
            unpacked.extractall(temporary, filter="data")
        wheel = build("build_wheel", Path(temporary) / archive.name.removesuffix(".tar.gz"), output, seconds)
    print(archive, wheel, sep="\n")


if __name__ == "__main__":
    main()
