"""The Debian package, the installation with pip, and the unit of both under a real systemd, as their pages say.

So is the way from each to a page received, with Debian's Prometheus and Alertmanager.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from containers import copy_checkout, docker
from exporter.ingest.vendors import clevertap_samples
from monitoring import ROOT
from pages import commands
from running import wait_until
from tools import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

IMAGE = "dataexport-systemd:check"
SYSTEMD_PAGE = ROOT / "docs" / "how-to" / "install-systemd.md"
PIP_PAGE = ROOT / "docs" / "how-to" / "install-pip.md"
FIRST_PAGE = ROOT / "docs" / "how-to" / "first-page.md"
DOCKERFILE = """
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    systemd curl openssl sudo python3-venv prometheus prometheus-alertmanager
COPY checkout /checkout
WORKDIR /checkout
RUN sh -eux install-pip
COPY *.deb /root/
WORKDIR /root
"""
BOOT = """
mount --make-rshared /
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/dataexport-check
echo $$ > /sys/fs/cgroup/dataexport-check/cgroup.procs
exec unshare --cgroup sh -c 'umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec /lib/systemd/systemd'
"""
EVENT = json.dumps(clevertap_samples.EXAMPLE)
POST = (
    'curl -s -H "Authorization: Bearer $(cat /etc/dataexport/secrets/shop)" '
    f"-d '{EVENT}' http://127.0.0.1:8080/webhooks/clevertap/shop-in1"
)
UNIT = "dataexport-exporter"
PAGE_SECONDS = 300


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with systemd, the Debian package as a file, and what the page on pip installs."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        missing("no Docker engine answers; make image-check starts one")
    context = tmp_path_factory.mktemp("systemd")
    subprocess.run([sys.executable, ROOT / "scripts" / "build_dist.py"], check=True)
    build_deb = [ROOT / "scripts" / "build-deb"]
    package = subprocess.run(build_deb, stdout=subprocess.PIPE, text=True, check=True).stdout
    shutil.copy(ROOT / package.splitlines()[-1], context)
    copy_checkout(context / "checkout")
    shutil.rmtree(context / "checkout" / "tests")  # so that a change of a test installs nothing anew
    (context / "checkout" / "install-pip").write_text("\n".join(list(commands(PIP_PAGE))[:4]), "utf-8")
    (context / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    [base] = re.findall(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    build = f"docker build --quiet --tag {IMAGE} --build-arg PYTHON={base} $IMAGE_OPTIONS {context}"
    subprocess.run(["sh", "-c", build], check=True)
    return IMAGE


@pytest.fixture
def machine(image: str) -> Iterator[Callable[[str], str]]:
    """A container in which systemd runs; a function runs a shell command in it, and returns its output."""
    options = "--privileged --cgroupns=private --tmpfs /run --tmpfs /tmp --entrypoint sh"
    name = docker("run", "-d", *options.split(), image, "-c", BOOT).splitlines()[-1]
    try:
        wait_until(
            lambda: docker("exec", name, "systemctl", "is-active", "basic.target", check=False).strip() == "active",
            "systemd",
        )
        yield lambda command: docker("exec", name, "sh", "-c", command, check=False).strip()
    finally:
        docker("rm", "--force", name)


def typed(machine: Callable[[str], str], command: str) -> str:
    """Run a command of a page, which must succeed, and return its output."""
    output, _, code = machine(f'{command}\necho "exit $?"').rpartition("exit ")
    assert code == "0", f"{command}\n{output}"
    return output.strip()


def configuration(page: Path) -> str:
    """Return the configuration, or the part of one, that a page shows."""
    [toml] = re.findall(r"^```toml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(toml)


def write_configuration(machine: Callable[[str], str], toml: str) -> None:
    """Append to the configuration of the exporter."""
    typed(machine, f"cat >> /etc/dataexport/dataexport.toml <<'TOML'\n{toml}TOML")


def serve(machine: Callable[[str], str], command: str) -> None:
    """Start the exporter by a command of the page on pip, which does not end, and wait until it is ready."""
    typed(machine, f"{command} >/tmp/log 2>&1 & echo $! >/tmp/pid")
    wait_until(lambda: '"event": "ready"' in machine("cat /tmp/log"), "the start")


@pytest.mark.parametrize("way", ["package", "pip"])
def test_the_unit_starts_reloads_survives_a_kill_and_stops(machine: Callable[[str], str], way: str) -> None:
    with_package, *with_pip, secret, start, scrape = commands(SYSTEMD_PAGE)
    for command in [with_package] if way == "package" else with_pip:
        typed(machine, command)
    typed(machine, secret)
    write_configuration(machine, configuration(SYSTEMD_PAGE))
    typed(machine, start)
    assert machine(f"journalctl --unit {UNIT}").count('"event": "ready"') == 1  # before the start had ended
    assert "\ndataexport_build_info{" in typed(machine, scrape)
    assert machine(POST) == '{"accepted":1,"duplicates":0,"quarantined":0}'
    credentials = "/run/credentials/dataexport-exporter.service"
    assert machine(f"stat -c %a {credentials}/secrets_shop /etc/dataexport/secrets") == "440\n700"
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


def test_the_commands_of_the_page_on_pip_work_as_typed(machine: Callable[[str], str]) -> None:
    *_, version, start, scrape, user, mode, folder, secrets, token, check, start_configured = commands(PIP_PAGE)
    assert typed(machine, version) == "dataexport-exporter, version 0.1.0"
    serve(machine, start)
    assert "\ndataexport_build_info{" in typed(machine, scrape)
    typed(machine, "kill $(cat /tmp/pid)")
    wait_until(lambda: '"event": "stopped"' in machine("cat /tmp/log"), "the stop")
    for command in (user, mode, folder, secrets):
        typed(machine, command)
    write_configuration(machine, configuration(PIP_PAGE))
    typed(machine, token)
    assert "fine, 1 source, 0 declared exports" in typed(machine, check)
    serve(machine, start_configured)
    assert "\ndataexport_build_info{" in typed(machine, scrape)
    assert machine(POST) == '{"accepted":1,"duplicates":0,"quarantined":0}'


def start_with_systemd(machine: Callable[[str], str]) -> str:
    """Install the package and start the unit, as the page says; return the command that reloads it."""
    package, *_, secret, start, _ = commands(SYSTEMD_PAGE)
    typed(machine, package)
    typed(machine, secret)
    write_configuration(machine, configuration(SYSTEMD_PAGE))
    typed(machine, start)
    return f"systemctl reload {UNIT}"


def start_with_pip(machine: Callable[[str], str]) -> str:
    """Start what the page on pip installs, with an admin token in addition; return the command that reloads it."""
    *folders, token, _, start = list(commands(PIP_PAGE))[-7:]
    for command in (*folders, token, token.replace("/shop", "/admin")):
        typed(machine, command)
    typed(machine, "install -D -m 600 /etc/dataexport/secrets/admin /checkout/dataexport/secrets/admin")
    write_configuration(machine, configuration(PIP_PAGE) + '[server]\nadmin_tokens_file = ["secrets/admin"]\n')
    serve(machine, start)
    token = "Authorization: Bearer $(cat /etc/dataexport/secrets/admin)"
    return f'curl --silent --fail --request POST --header "{token}" http://127.0.0.1:10047/-/reload'


@pytest.mark.parametrize("way", ["systemd", "pip"])
def test_the_way_to_a_page_received_takes_less_than_five_minutes(machine: Callable[[str], str], way: str) -> None:
    """How long it took, pytest shows with ``--durations``. The packages of Debian are there, and only they."""
    *install, token_file, authorization, restart, receive = commands(FIRST_PAGE)
    reload = (start_with_systemd if way == "systemd" else start_with_pip)(machine)
    for command in (*install, *([token_file, authorization] if way == "pip" else []), restart):
        typed(machine, f"cd /checkout\n{command}")
    typed(machine, f"cd /checkout\nPYTHONUNBUFFERED=1 {receive} >/tmp/received 2>&1 &")
    write_configuration(machine, configuration(FIRST_PAGE))
    typed(machine, reload)
    title = next(line for line in FIRST_PAGE.read_text("utf-8").splitlines() if line.startswith("PAGE "))
    typed(machine, f"timeout {PAGE_SECONDS} sh -c 'until grep -xF \"{title}\" /tmp/received; do sleep 1; done'")
