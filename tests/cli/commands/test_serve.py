"""`check-config` and `healthcheck`, and what `serve` says of the environment before it listens."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from commands import error_output, run
from ports import free_port
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("in_a_folder")

LINKS = {"DATAEXPORT_PORT": "tcp://10.96.0.1:8080", "DATAEXPORT_SERVICE_HOST": "10.96.0.1"}


@pytest.fixture
def fine(tmp_path: Path) -> str:
    path = tmp_path / "fine.toml"
    path.write_text('[log]\nlevel = "info"\n', "utf-8")
    return str(path)


def test_check_config_takes_its_file_in_three_ways(fine: str) -> None:
    for result in (run("check-config", fine), run("check-config", "--config", fine)):
        assert (result.exit_code, result.stdout) == (0, f"{fine}: fine, 1 source, 0 declared exports\n")
    assert run("check-config", DATAEXPORT_CONFIG=fine).exit_code == 0
    assert "give the FILE to check" in error_output(run("check-config"), 2)


def test_check_config_and_the_log_name_what_variables_override(fine: str, tmp_path: Path) -> None:
    environment = {"DATAEXPORT_LOG_LEVEL": "debug", "DATAEXPORT_LOG_FORMAT": "json", **LINKS}
    told = run("check-config", fine, **environment).stdout.splitlines()
    assert told[1:] == ["note: DATAEXPORT_LOG_LEVEL overrides log.level: 'debug' instead of 'info'"]
    (tmp_path / "dataexport.db").write_bytes(b"no database, so that it stops before it listens" * 100)
    output = run("serve", "--config", fine, **environment).stderr
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("setting_overridden", "info"),
        ("variables_ignored", "info"),
    ]
    assert (lines[0]["variable"], lines[0]["setting"]) == ("DATAEXPORT_LOG_LEVEL", "log.level")
    assert (lines[0]["value"], lines[0]["instead_of"]) == ("'debug'", "'info'")
    assert lines[1]["variables"] == sorted(LINKS)


def test_the_health_check_finds_a_running_exporter_by_its_configuration(tmp_path: Path) -> None:
    toml = '[server]\nadmin_tokens = ["a-secret-of-some-length"]\n'
    with LocalExporter(tmp_path, toml) as exporter:
        config = ("--config", str(exporter.config_path))
        port = str(exporter.admin_port)
        for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - where to look, not to listen
            result = run("healthcheck", *config, DATAEXPORT_ADMIN_LISTEN=f"{host}:{port}")
            assert (result.exit_code, result.stdout) == (0, f"ready: {host}:{port}\n")
        exporter.config_path.write_text(f'[server]\nadmin_listen = "127.0.0.1:{port}"\nnonsense = 1\n', "utf-8")
        assert run("healthcheck", *config).exit_code == 0


def test_where_nobody_listens_the_health_check_fails() -> None:
    address = f"127.0.0.1:{free_port()}"
    told = error_output(run("healthcheck", DATAEXPORT_ADMIN_LISTEN=address), 1)
    assert told == f"error: not ready: nothing answers at {address}, DATAEXPORT_ADMIN_LISTEN (Connection refused)\n"


def test_a_configuration_without_an_address_fails_with_exit_code_1() -> None:
    told = error_output(run("healthcheck", DATAEXPORT_ADMIN_LISTEN="x"), 1)
    assert told.startswith("error: environment: DATAEXPORT_ADMIN_LISTEN: 'x': give")


@pytest.fixture
def answer(request: pytest.FixtureRequest) -> Iterator[str]:
    """Listen on a port, answer the first request with fixed bytes, and yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(request.param)

        thread = threading.Thread(target=respond)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


PROBLEM = b'HTTP/1.1 503 X\r\nConnection: close\r\n\r\n{"detail": "the store does not\\n answer"}'


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (PROBLEM, "the store does not answer"),
        (b"HTTP/1.1 404 X\r\nConnection: close\r\n\r\nno", "{address} answers 404"),
        (b"HTTP/1.1 404 X\r\nConnection: close\r\n\r\n[]", "{address} answers 404"),
        (b"SSH-2.0-x\r\n", "what answers at {address} is not an exporter"),
    ],
    indirect=["answer"],
)
def test_the_health_check_says_why_it_fails(answer: str, told: str) -> None:
    sentence = error_output(run("healthcheck", DATAEXPORT_ADMIN_LISTEN=answer), 1)
    assert sentence == f"error: not ready: {told.format(address=answer)}\n"


def test_the_health_check_does_not_wait_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        sentence = error_output(run("healthcheck", "--timeout", "0.2", DATAEXPORT_ADMIN_LISTEN=address), 1)
    assert sentence == f"error: not ready: {address} does not answer within 0.2 s\n"
