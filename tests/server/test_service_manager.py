"""A service manager is notified when the exporter has read its store, and not before."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import structlog

from exporter.server.service_manager import ServiceManager
from running import Exporter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.proof
def test_the_first_notification_is_sent_when_the_store_was_read(tmp_path: Path) -> None:
    """A notification of gunicorn would come as it has bound the ports."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(60)
        with Exporter(tmp_path, environment={"NOTIFY_SOCKET": f"{tmp_path}/notify"}) as exporter:
            assert manager.recv(100) == b"READY=1"
            manager.settimeout(0)
            with pytest.raises(BlockingIOError):
                manager.recv(100)
            assert '"ready"' in exporter.log()


@pytest.mark.parametrize("prefix", [("", ""), ("@", "\0")], ids=["a path", "an abstract name"])
def test_the_notification_arrives_at_either_kind_of_socket(prefix: tuple[str, str], tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": f"{prefix[0]}{tmp_path}/notify"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{prefix[1]}{tmp_path}/notify")
        manager.settimeout(60)
        ServiceManager(environment).notify_ready()
        assert manager.recv(100) == b"READY=1"
    assert environment == {}


def test_without_a_manager_nothing_is_sent_and_one_that_is_away_is_logged(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        ServiceManager({}).notify_ready()
        ServiceManager({"NOTIFY_SOCKET": f"{tmp_path}/nobody"}).notify_ready()
    assert [each["event"] for each in logs] == ["systemd_not_notified"]
