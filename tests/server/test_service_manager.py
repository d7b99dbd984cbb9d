"""A service manager is told when the exporter is ready."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import structlog

from exporter.server.service_manager import notify
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_manager_hears_of_an_exporter_that_has_read_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
        with LocalExporter(tmp_path):
            assert manager.recv(100) == b"READY=1"


def test_a_name_with_an_at_sign_is_that_of_an_abstract_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{tmp_path}")
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_a_manager_that_does_not_listen_is_logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/nobody")
    with structlog.testing.capture_logs() as logs:
        notify("READY=1")
    assert [each["event"] for each in logs] == ["systemd_not_notified"]
