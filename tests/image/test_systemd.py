"""The Debian package and its unit under a real systemd, in a container: start, reload, kill, stop."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from containers import docker
from monitoring import ROOT
from running import wait_until
from tools import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.container

IMAGE = "dataexport-systemd:check"
DOCKERFILE = """
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd curl
COPY *.deb /
RUN apt-get install -y -qq --no-install-recommends /*.deb
"""
BOOT = """
mount --make-rshared /
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/dataexport-check
echo $$ > /sys/fs/cgroup/dataexport-check/cgroup.procs
exec unshare --cgroup sh -c 'umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec /lib/systemd/systemd'
"""
CREDENTIALS = "/run/credentials/dataexport-exporter.service"
TOML = f"""
[server]
admin_tokens_file = ["{CREDENTIALS}/secrets_admin"]
[store]
url = "sqlite:////var/lib/dataexport/dataexport.db"
[[sources]]
slug = "shop"
timezone = "UTC"
tokens_file = ["{CREDENTIALS}/secrets_shop"]
"""
TOKEN = "a-made-up-token-of-the-source"
EVENT = json.dumps(
    {
        "Export Request Id": 1690283492,
        "Partner": "Google Cloud Storage",
        "Type": "Events",
        "Status": "Completed",
        "Frequency": "One Time",
        "Date and Time": "25/07/2023 4:50:52 PM",
    }
)
POST = f"curl -s -H 'Authorization: Bearer {TOKEN}' -d '{EVENT}' http://127.0.0.1:8080/webhooks/clevertap/shop"
UNIT = "dataexport-exporter"


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A container in which systemd runs and the package is installed; a function runs a shell command in it."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        missing("no Docker engine answers; make image-check starts one")
    context = tmp_path_factory.mktemp("systemd")
    subprocess.run([sys.executable, ROOT / "scripts" / "build_dist.py"], check=True)
    package = subprocess.run([ROOT / "scripts" / "build-deb"], capture_output=True, text=True, check=True).stdout
    shutil.copy(ROOT / package.splitlines()[-1], context)
    (context / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    [base] = re.findall(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    options = f"docker build --quiet --tag {IMAGE} --build-arg PYTHON={base} $IMAGE_OPTIONS {context}"
    subprocess.run(["sh", "-c", options], check=True)
    options = "--privileged --cgroupns=private --tmpfs /run --tmpfs /tmp --entrypoint sh"
    name = docker("run", "-d", *options.split(), IMAGE, "-c", BOOT).splitlines()[-1]
    try:
        wait_until(
            lambda: docker("exec", name, "systemctl", "is-active", "basic.target", check=False).strip() == "active",
            "systemd",
        )
        yield lambda command: docker("exec", name, "sh", "-c", command, check=False).strip()
    finally:
        docker("rm", "--force", name)


def test_the_unit_starts_reloads_survives_a_kill_and_stops(machine: Callable[[str], str]) -> None:
    machine(f"cat > /etc/dataexport/dataexport.toml <<'TOML'\n{TOML}\nTOML\n")
    machine(f"umask 077; for name in shop admin; do echo {TOKEN}-$name > /etc/dataexport/secrets/$name; done")
    machine(f"echo {TOKEN} > /etc/dataexport/secrets/shop")
    assert machine(f"systemctl start {UNIT}") == ""
    assert machine(f"journalctl --unit {UNIT}").count('"event": "ready"') == 1  # before the start had ended
    assert machine(POST) == '{"accepted":1,"duplicates":0,"quarantined":0}'
    assert machine(f"stat -c %a {CREDENTIALS}/secrets_shop /etc/dataexport/secrets") == "440\n700"
    pid = machine(f"systemctl show --property MainPID --value {UNIT}")
    assert "CapEff:\t0000000000000000" in machine(f"cat /proc/{pid}/status")

    assert machine(f"systemctl reload {UNIT}") == ""
    wait_until(lambda: '"config_reloaded"' in machine(f"journalctl --unit {UNIT}"), "the reload")

    machine(f"kill -9 {pid}")
    wait_until(lambda: machine(f"systemctl show --property MainPID --value {UNIT}") not in {pid, "0"}, "the restart")
    wait_until(lambda: machine(f"systemctl is-active {UNIT}") == "active", "readiness")
    assert machine(POST) == '{"accepted":0,"duplicates":1,"quarantined":0}'

    assert machine(f"systemctl stop {UNIT}") == ""
    assert machine(f"systemctl show --property Result --value {UNIT}") == "success"
    assert '"event": "stopped"' in machine(f"journalctl --unit {UNIT}")

    machine("echo 'wrong = 1' >> /etc/dataexport/dataexport.toml")
    machine(f"systemctl start {UNIT}")
    assert machine(f"systemctl is-active {UNIT}") == "failed"  # and is not tried again
    assert "wrong" in machine(f"journalctl --unit {UNIT}")
