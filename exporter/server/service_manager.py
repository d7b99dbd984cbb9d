"""Tells systemd what state this process is in, by the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import socket

import structlog

log = structlog.get_logger()


def notify(state: str) -> None:
    """Send a state, such as ``READY=1``, to the socket in ``NOTIFY_SOCKET``; do nothing if there is none."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = f"\0{name[1:]}" if name.startswith("@") else name  # @ stands for the zero byte of an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            notifications.connect(address)
            notifications.sendall(state.encode())
    except OSError as error:
        log.error("systemd_not_notified", socket=name, error=str(error))
