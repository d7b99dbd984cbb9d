"""Simulates what a disk may contain after a power cut, from a recording of a real server's writes and syncs.

strace records every change of the database's files, every sync, and every response at the moment the server is
about to send it. `Disk` plays the recording back, up to any moment. Synced data is on the disk; of the rest any part
may be, sector by sector, and a file may be missing if its folder was not synced. To assume no more safety than there
was, a write counts from its return on, and a sync counts from its return on, for the writes before its beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from random import Random

SECTOR = 512
NAMES = ("-journal", "-wal", "")
"""What SQLite appends to a database's name. `-shm` is left out, since SQLite rebuilds it."""

_CALLS = (
    "openat,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "sync_file_range,rename,renameat,renameat2,unlink,unlinkat,sendto,sendmsg"
)
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_FILE = re.compile(r"\d+<((?:\\x[0-9a-f]{2})+)>(?!\(deleted\))")
_PEER = re.compile(r"\d+<TCP(?:v6)?:\[[^\]>]*:(\d+)->[^\]>]*:(\d+)\]>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_RESULT = re.compile(r"\) += (-?\d+)")


def recorder(strace: str, trace: Path, *more: str) -> list[str]:
    """Return the command prefix with which strace records everything that `read` needs."""
    return [
        *(strace, "-DDD", "-f", "--seccomp-bpf", "-yy", "-xx", "-s", "4000000"),
        *("-o", str(trace), "-e", f"trace={_CALLS}", *more, "--"),
    ]


@dataclass(frozen=True)
class Write:
    """A write of bytes at an offset of a file."""

    file: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    """A change of a file's size: cut off, or extended with zeros."""

    file: str
    size: int


@dataclass(frozen=True)
class Create:
    """The creation of a file."""

    file: str


@dataclass(frozen=True)
class Remove:
    """The removal of a file's name from its folder."""

    file: str


@dataclass(frozen=True)
class SyncBegun:
    """The beginning of a thread's sync of a file, or of the folder if ``file`` is empty."""

    file: str
    thread: str


@dataclass(frozen=True)
class SyncEnded:
    """The end of that sync."""

    file: str
    thread: str
    worked: bool


@dataclass(frozen=True)
class HttpResponse:
    """A response that the server is about to send to a client's port."""

    port: int
    status: int


Record = Write | Truncate | Create | Remove | SyncBegun | SyncEnded | HttpResponse


def read(trace: Path, database: Path, port: int) -> Iterator[Record]:
    """Parse a trace: the changes of a database's files, and the responses of the listener on ``port``.

    Raises:
        AssertionError: the trace contains a call that `Disk` cannot play back.
    """
    files = {f"{database}{name}": database.name + name for name in NAMES} | {str(database.parent): ""}
    begun: dict[str, tuple[str, str]] = {}
    existing: set[str] = set()
    with trace.open("rt", encoding="ascii") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue  # a signal, or the end of a process
            thread, resumed, call, rest = match.groups()
            if call is not None and rest.endswith("<unfinished ...>"):
                begun[thread] = call, rest
            if call is not None:
                yield from _at_entry(call, rest, thread, files, port)
            if resumed is not None:
                call, first = begun.pop(thread)
                assert call == resumed, line[:200]
                rest = first.removesuffix("<unfinished ...>").rstrip() + rest
            elif thread in begun:
                continue
            yield from _at_exit(call, rest, thread, files, existing)


def _at_entry(call: str, rest: str, thread: str, files: dict[str, str], port: int) -> Iterator[Record]:
    if call in {"fsync", "fdatasync"}:
        name = _file(rest, files)
        if name is not None:
            yield SyncBegun(name, thread)
    elif call in {"sendto", "sendmsg", "write", "writev"}:
        peer = _PEER.match(rest)
        if peer is not None and int(peer[1]) == port:
            sent = re.match(rb"HTTP/1\.[01] (\d{3}) ", _data(rest))
            if sent is not None:
                yield HttpResponse(int(peer[2]), int(sent[1]))


def _at_exit(call: str, rest: str, thread: str, files: dict[str, str], existing: set[str]) -> Iterator[Record]:
    if call in {"sendto", "sendmsg"}:
        return
    result = _RESULT.search(rest, rest.rfind(")"))
    worked = result is not None and int(result[1]) >= 0
    if call == "openat":
        path = _bytes(_TEXT.search(rest)).decode()
        name = files.get(path)
        if name and worked and "O_CREAT" in rest and name not in existing:
            existing.add(name)
            yield Create(name)
        assert not (name and "O_TRUNC" in rest), rest
        return
    if call in {"rename", "renameat", "renameat2", "unlink", "unlinkat"}:
        names = [files.get(_bytes(path).decode()) for path in _TEXT.finditer(rest)]
        if worked and any(names):
            assert call.startswith("unlink"), rest
            existing.discard(names[-1] or "")
            yield Remove(names[-1] or "")
        return
    name = _file(rest, files)
    if name is None:
        return
    if call in {"fsync", "fdatasync"}:
        yield SyncEnded(name, thread, worked)
    elif call == "ftruncate" and worked:
        yield Truncate(name, int(re.search(r"(\d+)\) +=", rest)[1]))  # type: ignore[index]
    elif call == "pwrite64" and worked:
        assert result is not None
        data, offset = _data(rest), int(re.search(r"(\d+)\) +=", rest)[1])  # type: ignore[index]
        yield Write(name, offset, data[: int(result[1])])
    else:
        assert not worked, f"{call} is not played back: {rest[:200]}"


def _file(rest: str, files: dict[str, str]) -> str | None:
    match = _FILE.match(rest)
    return files.get(bytes.fromhex(match[1].replace("\\x", "")).decode("utf-8", "replace")) if match else None


def _data(rest: str) -> bytes:
    return _bytes(_TEXT.search(rest))


def _bytes(match: re.Match[str] | None) -> bytes:
    if match is None:
        return b""
    assert not match[2], "strace truncated a string"
    return bytes.fromhex(match[1].replace("\\x", ""))


@dataclass
class _Inode:
    """A file's content: the bytes that are surely on disk, and the changes since then that may be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self, count: int) -> None:
        """Move the first ``count`` changes to the disk."""
        for change in self.pending[:count]:
            _apply(self.durable, change)
        del self.pending[:count]

    def after_a_cut(self, chance: Random) -> bytearray:
        """Return a possible content: each sector as it was after some number of the changes."""
        content = bytearray(self.durable)
        count = len(self.pending)
        kind = chance.random()
        if kind < 0.2 or not count:
            return content
        if kind < 0.3:
            for change in self.pending:
                _apply(content, change)
            return content
        # Either all sectors stop at about the same change, or each at any.
        return self._torn(content, chance, chance.randrange(count) if kind < 0.6 else None)

    def _torn(self, content: bytearray, chance: Random, last: int | None) -> bytearray:
        count = len(self.pending)
        reached: dict[int, int] = {}
        size, sized = len(content), chance.randint(0, count)
        for number, change in enumerate(self.pending):
            if isinstance(change, Truncate):
                if number < sized:
                    size = change.size
                    _apply(content, change)
                continue
            end = change.offset + len(change.data)
            if number < sized:
                size = max(size, end)
            for sector in range(change.offset // SECTOR, (end - 1) // SECTOR + 1):
                if sector not in reached:
                    reached[sector] = chance.randint(0, count) if last is None else last + chance.randint(0, 1)
                if number < reached[sector]:
                    part = slice(max(change.offset, sector * SECTOR), min(end, (sector + 1) * SECTOR))
                    data = change.data[part.start - change.offset : part.stop - change.offset]
                    _apply(content, Write("", part.start, data))
        _apply(content, Truncate("", size))
        return content


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    else:
        content.extend(bytes(max(0, change.offset - len(content))))
        content[change.offset : change.offset + len(change.data)] = change.data


class Disk:
    """The files of a database on a disk, while a recording is played back.

    Args:
        lies: ignore syncs, as a disk does that reports them done without doing them.
    """

    def __init__(self, *, lies: bool = False) -> None:
        self._lies = lies
        self._files: dict[str, _Inode] = {}
        self._folder: dict[str, _Inode] = {}
        self._name_changes: list[Create | Remove] = []
        self._created: list[_Inode | None] = []
        self._syncing: dict[str, int] = {}

    def play(self, record: Record, chance: Random) -> None:
        """Apply one record; ``chance`` decides what a failed sync leaves on disk."""
        if isinstance(record, Create):
            self._files[record.file] = _Inode()
            self._name_changes.append(record)
            self._created.append(self._files[record.file])
        elif isinstance(record, Remove):
            del self._files[record.file]
            self._name_changes.append(record)
            self._created.append(None)
        elif isinstance(record, Write | Truncate):
            self._files[record.file].pending.append(record)
        elif isinstance(record, SyncBegun):
            inode = self._files.get(record.file)
            self._syncing[record.thread] = len(inode.pending if inode else self._name_changes)
        elif isinstance(record, SyncEnded) and not self._lies:
            self._synced(record, chance)

    def _synced(self, record: SyncEnded, chance: Random) -> None:
        count = self._syncing.pop(record.thread)
        if not record.file:
            if record.worked:
                self._folder = self._names(count)
                del self._name_changes[:count], self._created[:count]
            return
        inode = self._files[record.file]
        if record.worked:
            inode.sync(count)
            return
        # The kernel marks the pages of a failed sync as clean: a later sync does not write them.
        later = inode.pending[count:]
        del inode.pending[count:]
        inode.durable, inode.pending = inode.after_a_cut(chance), later

    def _names(self, count: int) -> dict[str, _Inode]:
        names = dict(self._folder)
        for change, inode in zip(self._name_changes[:count], self._created[:count], strict=True):
            if inode is not None:
                names[change.file] = inode
            else:
                names.pop(change.file, None)
        return names

    def cut(self, chance: Random) -> dict[str, bytes]:
        """Return a possible content of each file after a power cut at this moment, by name."""
        names = self._names(chance.randint(0, len(self._name_changes)))
        return {name: bytes(inode.after_a_cut(chance)) for name, inode in names.items()}


def acknowledged(records: Iterable[Record], requests: dict[int, list[str]]) -> Iterator[tuple[Record, str]]:
    """Yield each record with the request that it acknowledges, or '' if it is not a response with status 200.

    Args:
        records: the recording.
        requests: the requests of each client port, in order.
    """
    next_index = dict.fromkeys(requests, 0)
    for record in records:
        if isinstance(record, HttpResponse):
            request = requests[record.port][next_index[record.port]]
            next_index[record.port] += 1
            yield record, request if record.status == 200 else ""
        else:
            yield record, ""
