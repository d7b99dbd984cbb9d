"""The image is small and closed, and runs as shipped: hardened, as any user of group 0, on every kind of volume."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from builders import fields, vendor_clock
from containers import ADMIN_TOKEN, HARDENED, IMAGE, TOKEN, TOKENS, Container, docker
from monitoring import ROOT
from pages import commands
from ports import free_port
from running import wait_until
from tools import missing
from users import reachable_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.container, pytest.mark.usefixtures("image")]

MAX_BYTES = 80_000_000
ANY_USER = ("--user", "4242:0")
EVENT = fields("Completed", vendor_clock(1_790_000_000))
STORED = 'dataexport_webhook_events_total{source="default",status="completed"} 1.0'


@pytest.fixture(scope="module")
def image() -> str:
    """Build the image with the target of the Makefile, and return its revision; skip where there is no engine."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        missing("no Docker engine answers; make image-check starts one")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    subprocess.run(["make", "image", f"IMAGE={IMAGE}"], cwd=ROOT, check=True)
    return head.strip()


@pytest.fixture
def volume() -> Iterator[str]:
    """A named volume."""
    name = f"dataexport-check-{free_port()}"
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", "--force", name)


def inside(script: str) -> list[str]:
    """Return the lines that a shell in the image prints."""
    return docker("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", script).splitlines()


def test_what_is_ours_is_less_than_80_mb() -> None:
    layers = docker(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", IMAGE
    ).splitlines()
    ours = layers[: next(number for number, line in enumerate(layers) if "pip uninstall" in line) + 1]
    size = sum(int(line.partition(" ")[0]) for line in ours)
    assert 20_000_000 < size < MAX_BYTES


def test_it_has_no_pip_no_compiler_no_sources_and_no_other_commands() -> None:
    assert inside("ls /opt/dataexport/bin") == ["dataexport-exporter", "python", "python3", "python3.13"]
    assert inside("command -v pip pip3 gcc cc make apt-key; python -c 'import pip' 2>&1 | tail -1") == [
        "ModuleNotFoundError: No module named 'pip'"
    ]
    left = r"-name '*.pyx' -o -name '*.c' -o -name '*.h' -o -name 'pip-*.whl'"
    assert inside(rf"find /opt /usr/local/lib /usr/lib/python3* \( {left} \) | grep -v /usr/lib/python3/; true") == []
    assert inside("find /data -mindepth 1; stat -c '%a %u %g' /data") == ["2770 10047 0"]
    assert inside("find / -xdev -perm -0002 -type f 2>/dev/null | grep -v ^/proc; true") == []


def test_its_configuration_is_what_a_platform_expects(image: str) -> None:
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", IMAGE))
    assert config["User"] == "10047:0"
    assert config["Volumes"] == {"/data": {}}
    assert config["Healthcheck"]["StartInterval"] == 1_000_000_000
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert (labels["licenses"], labels["version"], labels["revision"]) == ("Apache-2.0", "0.1.0", image)
    assert labels["base.name"] == "docker.io/library/python:3.13-slim"


@pytest.mark.parametrize("user", [(), ANY_USER], ids=["its own user", "any user of group 0"])
@pytest.mark.parametrize("kind", ["anonymous", "named", "bind"])
def test_it_stores_events_on_every_kind_of_volume(user: tuple[str, ...], kind: str, volume: str) -> None:
    with reachable_folder() as folder:
        data = folder / "data"
        data.mkdir()
        data.chmod(0o2770)
        options = {"anonymous": (), "named": ("-v", f"{volume}:/data"), "bind": ("-v", f"{data}:/data")}[kind]
        with Container(*HARDENED, *user, *options, *TOKENS, "--memory=128m") as container:
            container.wait_until_ready()
            assert container.post(EVENT).json() == {"accepted": 1, "duplicates": 0, "quarantined": 0}
            assert STORED in container.scrape()
            assert TOKEN not in container.log() + container.exec("doctor", check=False)
            container.wait_until_ready()  # whatever became of the doctor in so little memory


def test_events_survive_a_stop_a_kill_and_another_user(volume: str) -> None:
    options = (*HARDENED, "-v", f"{volume}:/data", *TOKENS, "--memory=160m")
    with Container(*options) as container:
        container.wait_until_ready()
        assert container.post(EVENT).ok
        docker("stop", container.id)
        assert container.state()["ExitCode"] == 0
        assert '"event": "stopped"' in container.log()
        docker("start", container.id)
        container.wait_until_ready()
        docker("kill", container.id)
        docker("start", container.id)
        container.wait_until_ready()
        assert container.post(EVENT).json() == {"accepted": 0, "duplicates": 1, "quarantined": 0}
        assert "source default" in container.exec("doctor", check=False)
        docker("kill", "--signal", "HUP", container.id)
        wait_until(lambda: '"event": "config_reloaded"' in container.log(), "the reload")
        docker("stop", container.id)
    with Container(*options, *ANY_USER) as container:
        container.wait_until_ready()
        assert STORED in container.scrape()


def test_a_second_container_on_the_same_volume_is_refused(volume: str) -> None:
    options = (*HARDENED, "-v", f"{volume}:/data", *TOKENS)
    with Container(*options) as first:
        first.wait_until_ready()
        with Container(*options) as second:
            assert second.wait_until_ended() == 1
            assert f"on {first.id[:12]} serves /data/dataexport.db already; stop it first" in second.log()
        first.wait_until_ready()


@pytest.mark.parametrize(
    ("mode", "extra", "refusal"),
    [
        (0o440, (), None),
        (0o444, ("-e", "DATAEXPORT_ALLOW_READABLE_SECRETS=true"), None),
        (0o444, (), "every user of this machine can read '/run/secrets/shop' (mode 0444)"),
        (0o400, (), "'/run/secrets/shop' cannot be read by user 10047: it belongs to user 0 and group 0, and its mode"),
    ],
)
def test_secrets_are_read_with_the_modes_that_platforms_give_them(
    mode: int, extra: tuple[str, ...], refusal: str | None
) -> None:
    with reachable_folder() as folder:
        for name, token in {"shop": TOKEN, "admin": ADMIN_TOKEN}.items():
            (folder / name).write_text(f"{token}\n", "utf-8")
            (folder / name).chmod(mode if name == "shop" else 0o440)
        files = (
            "-e",
            "DATAEXPORT_TOKENS_FILE=/run/secrets/shop",
            "-e",
            "DATAEXPORT_ADMIN_TOKENS_FILE=/run/secrets/admin",
        )
        with Container(*HARDENED, "-v", f"{folder}:/run/secrets:ro", *files, *extra) as container:
            if refusal is None:
                container.wait_until_ready()
                assert container.post(EVENT).ok
            else:
                assert container.wait_until_ended() == 2
                lines = [line for line in container.log().splitlines() if "/run/secrets/shop" in line]
                assert [refusal in line for line in lines] == [True], container.log()


@pytest.mark.parametrize("listen", [(), ("-e", "DATAEXPORT_ADMIN_LISTEN=127.0.0.1:9999")])
def test_it_is_healthy_soon_after_it_is_ready_at_any_address(listen: tuple[str, ...]) -> None:
    with Container(*HARDENED, *TOKENS, *listen, "--memory=128m") as container:
        wait_until(lambda: container.state()["Health"]["Status"] == "healthy", "the health check")
        assert all("Traceback" not in probe["Output"] for probe in container.state()["Health"]["Log"])
        assert "ready: " in container.state()["Health"]["Log"][-1]["Output"]


def test_the_commands_of_the_page_work_as_typed(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "install-container.md"
    typed = [command for command in commands(page) if not command.startswith("docker build")]
    script = "\n".join(["set -e", f"docker tag {IMAGE} dataexport-exporter", "cd " + str(tmp_path), *typed])
    try:
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        docker("rm", "--force", "--volumes", "dataexport", check=False)
        docker("volume", "rm", "--force", "dataexport", check=False)
