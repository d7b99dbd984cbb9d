"""A private PostgreSQL, and a pgbouncer before it: real ones, that tests may stop, pause and kill."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString, Self

import psycopg
from psycopg import sql

from ports import free_port
from running import family
from tools import postgres_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

USER = "dataexport"
PASSWORD = "canary-f3b1c7"
START_SECONDS = 60
STOP_SECONDS = 30


class Process:
    """A program in a folder of its own, of an unprivileged user where the tests run as root.

    PostgreSQL and pgbouncer refuse to run as root, and the folders of pytest are closed to others.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"dataexport-{name}-"))
        self.port = free_port()
        self._as: dict[str, int | list[int]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def url(self, database: str = USER) -> str:
        """A database of it, as ``store.url`` names it."""
        return f"postgresql+psycopg://{USER}:{PASSWORD}@{self.address}/{database}"

    def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} ended by itself:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self.name}: not ready after {START_SECONDS} s:\n{self.log()}"
            time.sleep(0.02)

    def launch(self) -> None:
        """Start it without waiting for anything."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "INT", *self._command()],  # nor does it outlive tests that are killed
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as,  # type: ignore[call-overload]
            )

    def stop(self) -> None:
        """Stop it in order, without waiting for its clients."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGINT)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """End it and its children at once, as a power failure would."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGSTOP)  # it has no further children meanwhile
        for pid in reversed(family(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let nothing of it move, so that it answers as a network that hangs does."""
        assert self._process is not None, "not started"
        os.kill(self._process.pid, signal.SIGSTOP)  # it has no further children meanwhile
        everybody = family(self._process.pid)
        for each in everybody:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in everybody:
                os.kill(each, signal.SIGCONT)

    def write(self, name: str, text: str) -> None:
        """A file that it can read, whatever the tests let others read."""
        path = self.folder / name
        path.write_text(text, "ascii")
        path.chmod(0o644)

    def log(self) -> str:
        """Everything it has said so far."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _ready(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = USER) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of its own, without transactions."""
        url = self.url(database).replace("+psycopg", "")
        return psycopg.connect(url, connect_timeout=STOP_SECONDS, autocommit=True)

    def execute(self, statement: LiteralString | sql.Composed, *values: object) -> list[tuple[object, ...]]:
        """What a statement answers."""
        with self.connect("postgres") as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def run(self, name: str, *arguments: str) -> None:
        """One of PostgreSQL's programs, in the folder, until it ends well."""
        done = subprocess.run(
            [postgres_program(name), *arguments],
            cwd=self.folder,
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
            **self._as,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stdout + done.stderr


class Postgres(Process):
    """A PostgreSQL server on a free port of the loopback interface, with a database for the exporter.

    Args:
        settings: of postgresql.conf, beside those that make it small.
        primary: what it follows as a standby, from now on; its name there is ``standby``.
    """

    def __init__(self, settings: Mapping[str, object] | None = None, primary: Postgres | None = None) -> None:
        super().__init__("postgres")
        self.settings = dict(settings or {})
        if primary is None:
            self.write("password", PASSWORD)
            self.run(
                "initdb",
                "--no-sync",
                f"--username={USER}",
                "--pwfile=password",
                "--auth-host=scram-sha-256",
                "--auth-local=trust",
                "--encoding=UTF8",
                "--locale=C",
                "data",
            )
            return
        where = f"host=127.0.0.1 port={primary.port} user={USER} application_name=standby"
        self.run(
            "pg_basebackup",
            "--pgdata=data",
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
            f"--dbname={where}",
        )

    def start(self) -> None:
        """Start it, and make the database where there is none."""
        super().start()
        known = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not self.execute("SELECT 1 WHERE pg_is_in_recovery()") and not self.execute(known, USER):
            self.create(USER)

    def create(self, database: str) -> None:
        """A new and empty database."""
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))

    def drop(self, database: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def promote(self) -> None:
        """Make a primary of a standby, and wait until it takes writes."""
        assert self.execute("SELECT pg_promote()") == [(True,)], self.log()

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "shared_buffers": "16MB",
            "jit": "off",
            "fsync": "off",  # what a process wrote survives its end; only a machine's end would lose it
            **self.settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [postgres_program("postgres"), "-D", "data", *options]


class PgBouncer(Process):
    """A pgbouncer that gives a connection of the server to each transaction.

    Args:
        server: what is behind it.
        settings: of its configuration, beside those that are needed.
    """

    def __init__(self, server: Postgres, settings: Mapping[str, object] | None = None) -> None:
        super().__init__("pgbouncer")
        self.write("users", f'"{USER}" "{PASSWORD}"\n')
        everything = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": "users",
            "pool_mode": "transaction",
            **(settings or {}),
        }
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={server.port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in everything.items()),
        ]
        self.write("pgbouncer.ini", "\n".join(lines) + "\n")

    def _command(self) -> Sequence[str]:
        return [postgres_program("pgbouncer"), "pgbouncer.ini"]
