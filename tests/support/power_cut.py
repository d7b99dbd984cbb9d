"""What a disk may hold after a power cut: a real server's writes and syncs, cut anywhere.

A recording is what strace saw of a server: every change of its database's files, every sync, and
every answer at the moment at which it was about to be sent. `Disk` plays that back. What was synced
is there; of the rest any part may be, sector by sector, and a file whose folder was not synced may
be missing altogether. A write that has not returned yet is left out, a sync counts from when it
has returned, and only for what was written before it began; so nothing is taken to be safer than
it was.
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
"""What SQLite appends to a database's name; `-shm` is left out, since it is made anew."""

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
    """The words to put before a command, so that everything is recorded that matters here."""
    return [
        *(strace, "-DDD", "-f", "--seccomp-bpf", "-yy", "-xx", "-s", "4000000"),
        *("-o", str(trace), "-e", f"trace={_CALLS}", *more, "--"),
    ]


@dataclass(frozen=True)
class Write:
    """Bytes at a place of a file."""

    file: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    """A file cut off, or grown with zeros."""

    file: str
    size: int


@dataclass(frozen=True)
class Create:
    """A file that was not there before."""

    file: str


@dataclass(frozen=True)
class Remove:
    """A file's name taken out of its folder."""

    file: str


@dataclass(frozen=True)
class SyncBegun:
    """A sync of a file, or of the folder where ``file`` is empty, by a thread."""

    file: str
    thread: str


@dataclass(frozen=True)
class SyncEnded:
    """The end of the thread's sync."""

    file: str
    thread: str
    worked: bool


@dataclass(frozen=True)
class HttpResponse:
    """An answer about to be sent to a client's port."""

    port: int
    status: int


Record = Write | Truncate | Create | Remove | SyncBegun | SyncEnded | HttpResponse


def read(trace: Path, database: Path, port: int) -> Iterator[Record]:
    """What a trace says of a database's files, and of the answers of the listener on ``port``.

    Raises:
        AssertionError: it holds something that is not played back here, which must not be overlooked.
    """
    files = {f"{database}{name}": database.name + name for name in NAMES} | {str(database.parent): ""}
    begun: dict[str, tuple[str, str]] = {}
    known: set[str] = set()
    with trace.open("rt", encoding="ascii") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue  # a signal, or an end
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
            yield from _at_exit(call, rest, thread, files, known)


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


def _at_exit(call: str, rest: str, thread: str, files: dict[str, str], known: set[str]) -> Iterator[Record]:
    if call in {"sendto", "sendmsg"}:
        return
    result = _RESULT.search(rest, rest.rfind(")"))
    worked = result is not None and int(result[1]) >= 0
    if call == "openat":
        path = _bytes(_TEXT.search(rest)).decode()
        name = files.get(path)
        if name and worked and "O_CREAT" in rest and name not in known:
            known.add(name)
            yield Create(name)
        assert not (name and "O_TRUNC" in rest), rest
        return
    if call in {"rename", "renameat", "renameat2", "unlink", "unlinkat"}:
        names = [files.get(_bytes(each).decode()) for each in _TEXT.finditer(rest)]
        if worked and any(names):
            assert call.startswith("unlink"), rest
            known.discard(names[-1] or "")
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
    assert not match[2], "strace cut a text off"
    return bytes.fromhex(match[1].replace("\\x", ""))


@dataclass
class _Inode:
    """A file's bytes: what is on disk, and the changes since that may be or not."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def settle(self, count: int) -> None:
        """The first ``count`` changes are on disk."""
        for each in self.pending[:count]:
            _apply(self.durable, each)
        del self.pending[:count]

    def after_a_cut(self, chance: Random) -> bytearray:
        """What may be found: of each sector, how it was after any number of its changes."""
        found = bytearray(self.durable)
        count = len(self.pending)
        kind = chance.random()
        if kind < 0.2 or not count:
            return found
        if kind < 0.3:
            for each in self.pending:
                _apply(found, each)
            return found
        # Either all sectors stop at about the same change, or each where it likes.
        return self._torn(found, chance, chance.randrange(count) if kind < 0.6 else None)

    def _torn(self, found: bytearray, chance: Random, last: int | None) -> bytearray:
        count = len(self.pending)
        reached: dict[int, int] = {}
        size, sized = len(found), chance.randint(0, count)
        for number, change in enumerate(self.pending):
            if isinstance(change, Truncate):
                if number < sized:
                    size = change.size
                    _apply(found, change)
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
                    _apply(found, Write("", part.start, data))
        _apply(found, Truncate("", size))
        return found


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    else:
        content.extend(bytes(max(0, change.offset - len(content))))
        content[change.offset : change.offset + len(change.data)] = change.data


class Disk:
    """The files of a database as a disk holds them, while a recording is played back.

    Args:
        lies: whether it says "synced" and does nothing, as if nobody had ever asked it to.
    """

    def __init__(self, *, lies: bool = False) -> None:
        self._lies = lies
        self._files: dict[str, _Inode] = {}
        self._folder: dict[str, _Inode] = {}
        self._renamed: list[Create | Remove] = []
        self._made: list[_Inode | None] = []
        self._syncing: dict[str, int] = {}

    def play(self, record: Record, chance: Random) -> None:
        """Take one record of a recording; ``chance`` decides what a failed sync left on disk."""
        if isinstance(record, Create):
            self._files[record.file] = _Inode()
            self._renamed.append(record)
            self._made.append(self._files[record.file])
        elif isinstance(record, Remove):
            del self._files[record.file]
            self._renamed.append(record)
            self._made.append(None)
        elif isinstance(record, Write | Truncate):
            self._files[record.file].pending.append(record)
        elif isinstance(record, SyncBegun):
            inode = self._files.get(record.file)
            self._syncing[record.thread] = len(inode.pending if inode else self._renamed)
        elif isinstance(record, SyncEnded) and not self._lies:
            self._synced(record, chance)

    def _synced(self, record: SyncEnded, chance: Random) -> None:
        count = self._syncing.pop(record.thread)
        if not record.file:
            if record.worked:
                self._folder = self._names(count)
                del self._renamed[:count], self._made[:count]
            return
        inode = self._files[record.file]
        if record.worked:
            inode.settle(count)
            return
        # The kernel takes the pages of a failed sync for clean: a later sync does not write them.
        later = inode.pending[count:]
        del inode.pending[count:]
        inode.durable, inode.pending = inode.after_a_cut(chance), later

    def _names(self, count: int) -> dict[str, _Inode]:
        names = dict(self._folder)
        for change, made in zip(self._renamed[:count], self._made[:count], strict=True):
            if made is not None:
                names[change.file] = made
            else:
                names.pop(change.file, None)
        return names

    def cut(self, chance: Random) -> dict[str, bytes]:
        """The files as they may be found after a power cut at this moment, by name."""
        names = self._names(chance.randint(0, len(self._renamed)))
        return {name: bytes(inode.after_a_cut(chance)) for name, inode in names.items()}


def acknowledged(records: Iterable[Record], asked: dict[int, list[str]]) -> Iterator[tuple[Record, str]]:
    """Each record with the request that it answers with 200, if it is such an answer; else with ''.

    Args:
        records: the recording.
        asked: the requests of each client port, in order.
    """
    next_of = dict.fromkeys(asked, 0)
    for record in records:
        if isinstance(record, HttpResponse):
            request = asked[record.port][next_of[record.port]]
            next_of[record.port] += 1
            yield record, request if record.status == 200 else ""
        else:
            yield record, ""
