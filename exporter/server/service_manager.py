"""Notifies systemd that this process is ready, by the protocol of sd_notify(3)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

log = structlog.get_logger()


class ServiceManager:
    """The service manager that started this process, if it waits for a notification.

    Args:
        environment: the environment variables. ``NOTIFY_SOCKET`` is removed: gunicorn would notify as well, too early.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._socket = environment.pop("NOTIFY_SOCKET", "")

    def notify_ready(self) -> None:
        """Report that this process is ready. A failure is logged."""
        if not self._socket:
            return
        # An initial @ stands for the zero byte of an abstract socket.
        address = f"\0{self._socket[1:]}" if self._socket.startswith("@") else self._socket
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
                notifications.connect(address)
                notifications.sendall(b"READY=1")
        except OSError as error:
            log.error("systemd_not_notified", socket=self._socket, error=str(error))
