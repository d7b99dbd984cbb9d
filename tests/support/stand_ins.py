"""Images that stand in for those of other projects, which no registry of packages has, with Debian's programs.

Each has the paths, variables and user of the official image, as far as the Compose project relies on them.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from monitoring import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS = r"""
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    caddy postgresql prometheus prometheus-alertmanager \
 && install -d -o nobody /prometheus /alertmanager
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
COPY postgres /
"""
_POSTGRES = r"""#!/bin/sh
set -eu
data=/var/lib/postgresql/data programs=$(echo /usr/lib/postgresql/*/bin)
chown postgres "$data"
as_postgres() { runuser -u postgres -- "$@"; }
if [ ! -e "$data/PG_VERSION" ]; then
    install -m 600 -o postgres "$POSTGRES_PASSWORD_FILE" /tmp/password
    as_postgres "$programs/initdb" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 "$data"
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_USER" | as_postgres "$programs/postgres" --single -D "$data" postgres
fi
exec runuser -u postgres -- "$programs/postgres" -D "$data" -c "listen_addresses=*"
"""
_STARTS = {
    "prometheus": 'USER nobody\nENTRYPOINT ["/usr/bin/prometheus"]',
    "alertmanager": 'USER nobody\nENTRYPOINT ["/usr/bin/prometheus-alertmanager"]',
    "caddy": 'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]',
    "postgres": 'ENTRYPOINT ["/postgres"]',
    "grafana": 'ENTRYPOINT ["sleep", "infinity"]',  # no registry of packages has Grafana either
}


def build(context: Path) -> dict[str, str]:
    """Build the images, and return the variables of the Compose project that name them.

    Args:
        context: an empty folder.
    """
    (context / "Dockerfile").write_text(_PROGRAMS, "utf-8")
    (context / "postgres").write_text(_POSTGRES, "utf-8")
    (context / "postgres").chmod(0o755)
    [base] = re.findall(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    _build("programs", f"--build-arg PYTHON={base} {context}")
    for name, start in _STARTS.items():
        _build(name, "-", f"FROM {_tag('programs')}\n{start}\n")
    return {f"{name.upper()}_IMAGE": _tag(name) for name in _STARTS}


def _tag(name: str) -> str:
    return f"dataexport-{name}:check"


def _build(name: str, arguments: str, dockerfile: str = "") -> None:
    command = f"docker build --quiet --tag {_tag(name)} $IMAGE_OPTIONS {arguments}"
    subprocess.run(["sh", "-c", command], input=dockerfile, text=True, check=True)
