"""Makes TLS certificates with openssl."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tools import program

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path, name: str, days: int = 2, host: str = "localhost") -> tuple[Path, Path]:
    """Make a self-signed certificate for loopback and a host; return the paths of the certificate and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    result = subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {days} -subj /CN={name} "
        f"-addext subjectAltName=IP:127.0.0.1,DNS:{host} -keyout {name}.key -out {name}.pem".split(),
        executable=program("openssl"),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    key.chmod(0o600)
    return certificate, key
