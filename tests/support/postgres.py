"""A private PostgreSQL server, and a pgbouncer in front of it, that tests may stop, pause and kill."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString, Self

import psycopg
from psycopg import sql

from ports import free_port
from running import START_SECONDS, STOP_SECONDS, family
from tools import postgres_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

USER = "dataexport"
PASSWORD = "canary-f3b1c7"


class Process:
    """A server program in a temporary folder; it runs as the user ``nobody`` if the tests run as root.

    PostgreSQL and pgbouncer refuse to run as root, and other users cannot read pytest's temporary folders.
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
        """Return the URL of a database, in the form of ``store.url``."""
        return f"postgresql+psycopg://{USER}:{PASSWORD}@{self.address}/{database}"

    def start(self) -> None:
        """Start the program, and wait until it accepts connections."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} ended unexpectedly:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self.name}: not ready after {START_SECONDS} s:\n{self.log()}"
            time.sleep(0.02)

    def launch(self) -> None:
        """Start the program without waiting."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "INT", *self._command()],  # it ends with the tests, even if they are killed
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as,  # type: ignore[call-overload]
            )

    def stop(self) -> None:
        """Stop the program in order, without waiting for its clients."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGINT)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill the program and its children at once, as a power failure would."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGSTOP)  # so that it starts no further children
        _signal(reversed(family(process.pid)), signal.SIGKILL)
        process.wait(STOP_SECONDS)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Suspend the program and its children, so that clients see what a hanging network shows."""
        assert self._process is not None, "not started"
        os.kill(self._process.pid, signal.SIGSTOP)  # so that it starts no further children
        pids = family(self._process.pid)
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    def write(self, name: str, text: str) -> None:
        """Write a file in the folder that the program can read, whatever the umask of the tests."""
        path = self.folder / name
        path.write_text(text, "ascii")
        path.chmod(0o644)

    def log(self) -> str:
        """Return the program's log so far."""
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
        """Open a connection in autocommit mode."""
        url = self.url(database).replace("+psycopg", "")
        return psycopg.connect(url, connect_timeout=STOP_SECONDS, autocommit=True)

    def execute(self, statement: LiteralString | sql.Composed, *values: object) -> list[tuple[object, ...]]:
        """Run a statement and return its rows."""
        with self.connect("postgres") as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def run(self, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs in the folder; it must succeed."""
        result = subprocess.run(
            [postgres_program(name), *arguments],
            cwd=self.folder,
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
            **self._as,  # type: ignore[call-overload]
        )
        assert result.returncode == 0, result.stdout + result.stderr


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may have ended meanwhile."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Postgres(Process):
    """A PostgreSQL server on a free port of the loopback interface, with a database for the exporter.

    Args:
        settings: settings of postgresql.conf, in addition to those that make the server small.
        primary: the server that it follows as the standby named ``standby``; None for a primary.
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
        conninfo = f"host=127.0.0.1 port={primary.port} user={USER} application_name=standby"
        self.run(
            "pg_basebackup",
            "--pgdata=data",
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
            f"--dbname={conninfo}",
        )

    def start(self) -> None:
        """Start the server, and create the exporter's database if it does not exist."""
        super().start()
        exists = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not self.execute("SELECT 1 WHERE pg_is_in_recovery()") and not self.execute(exists, USER):
            self.create(USER)

    def create(self, database: str, encoding: str = "UTF8") -> None:
        """Create an empty database."""
        statement = sql.SQL("CREATE DATABASE {} ENCODING {} TEMPLATE template0")
        self.execute(statement.format(sql.Identifier(database), encoding))

    def save_rows(self, database: str) -> None:
        """Save the rows of all tables of a database for `restore_rows`."""
        with self.connect(database) as connection:
            connection.execute("CREATE SCHEMA saved")
            for table in self._tables(connection):
                connection.execute(
                    sql.SQL("CREATE TABLE {} AS TABLE {}").format(sql.Identifier("saved", table), sql.Identifier(table))
                )

    def restore_rows(self, database: str) -> None:
        """Make the rows of all tables those that were saved: this is far less work than to create a database."""
        with self.connect(database) as connection, connection.transaction():
            for table in self._tables(connection):
                current, saved = sql.Identifier(table), sql.Identifier("saved", table)
                connection.execute(sql.SQL("DELETE FROM {}").format(current))
                connection.execute(sql.SQL("INSERT INTO {} TABLE {}").format(current, saved))
            connection.execute("SELECT setval(sequencename::regclass, 1, false) FROM pg_sequences")

    @staticmethod
    def _tables(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [str(name) for (name,) in rows]

    def drop(self, database: str) -> None:
        """Drop a database, and disconnect its clients."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def promote(self) -> None:
        """Promote the standby, and wait until it accepts writes."""
        assert self.execute("SELECT pg_promote()") == [(True,)], self.log()

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "shared_buffers": "16MB",
            "jit": "off",
            "fsync": "off",  # a write survives the end of the process; only a crash of the machine would lose it
            **self.settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [postgres_program("postgres"), "-D", "data", *options]


class PgBouncer(Process):
    """A pgbouncer that assigns a connection to the server for each transaction.

    Args:
        server_port: the port of the server behind it, which need not run.
        settings: settings of its configuration, in addition to the necessary ones.
    """

    def __init__(self, server_port: int, settings: Mapping[str, object] | None = None) -> None:
        super().__init__("pgbouncer")
        self.write("users", f'"{USER}" "{PASSWORD}"\n')
        all_settings = {
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
            f"* = host=127.0.0.1 port={server_port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in all_settings.items()),
        ]
        self.write("pgbouncer.ini", "\n".join(lines) + "\n")

    def _command(self) -> Sequence[str]:
        return [postgres_program("pgbouncer"), "pgbouncer.ini"]

    def _ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True
