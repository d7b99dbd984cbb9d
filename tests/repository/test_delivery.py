"""What is delivered beside the code: Dockerfile, Compose project, systemd unit, wheel and source distribution."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from build_dist import with_absolute_links
from exporter import __version__
from exporter.cli import assets
from monitoring import ROOT
from sbom_spdx import spdx
from slim_environment import strip
from tools import missing, program

COMPOSE = ROOT / "deploy" / "compose"
UNIT = ROOT / "deploy" / "systemd" / "dataexport-exporter.service"
SCREEN_LINES = 50
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def test_the_image_has_the_version_of_the_package_and_a_user_that_is_a_number() -> None:
    assert f"ARG VERSION={__version__}\n" in DOCKERFILE
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10047:0"]


def test_the_image_installs_only_what_has_a_pinned_hash() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install [^&]*", DOCKERFILE)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps" in install, install
        assert "--require-hashes" not in install or "--only-binary :all:" in install, install


def test_everything_that_the_dockerfile_copies_is_in_its_context() -> None:
    allowed = {
        line[1:].split("/")[0] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[0] == "!"
    }
    copied = [
        source for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()
    ]
    assert {source.split("/")[0] for source in copied} == allowed


def test_a_stripped_library_still_loads(tmp_path: Path) -> None:
    import pydantic_core  # noqa: PLC0415 - any compiled package will do

    package = tmp_path / "pydantic_core"
    shutil.copytree(Path(pydantic_core.__file__).parent, package)
    [library] = package.glob("*.so")
    with library.open("ab") as file:
        file.write(b"symbols" * 1000)
    assert strip(library) >= 7000
    assert struct.unpack_from("<Q", library.read_bytes(), 40) == (0,)
    (package / "text.so").write_text("no library", "utf-8")
    assert strip(package / "text.so") == 0
    done = subprocess.run(
        [sys.executable, "-c", "import pydantic_core; print(pydantic_core.__file__)"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(package / "__init__.py")


SECRETS = {
    "DATAEXPORT_TOKENS": "canary-token",
    "DATAEXPORT_ADMIN_TOKENS": "canary-admin",
    "DATAEXPORT_STORE_URL": "postgresql+psycopg://dataexport:canary-store@postgres/dataexport",
    "GRAFANA_PASSWORD": "canary-grafana",
    "POSTGRES_PASSWORD": "canary-store",
}


def compose_services(*options: str) -> dict[str, Any]:
    """Return the services of the Compose project with options of Compose, as its plugin reads them."""
    plugin = Path(sys.executable).with_name("docker-compose")
    if not plugin.exists():
        missing("docker-compose is not installed; make pins has it")
    done = subprocess.run(
        [plugin, "--env-file", "/dev/null", *options, "config", "--format=json"],
        cwd=COMPOSE,
        env={"PATH": os.environ["PATH"], "EXPORTER_USER": "1000", **SECRETS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


@pytest.mark.parametrize("profile", ["", "demo", "tls", "postgres"])
def test_the_compose_project_is_valid_and_publishes_on_loopback_only(profile: str) -> None:
    services = compose_services(*(["--profile", profile] if profile else []))
    added = {"": set(), "demo": {"traffic", "receiver"}, "tls": {"caddy"}, "postgres": {"postgres", "replica"}}
    assert services.keys() == {"exporter", "prometheus", "alertmanager", "grafana"} | added[profile]
    for name, service in services.items():
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or Path(volume["source"]).exists(), volume


def test_with_secret_files_no_variable_of_a_container_shows_a_secret() -> None:
    profiles = ["--profile", "demo", "--profile", "tls", "--profile", "postgres"]

    def shown(*options: str) -> set[str]:
        services = compose_services(*options, *profiles)
        return {name for name, service in services.items() if "canary" in json.dumps(service)}

    assert shown() == {"exporter", "replica", "traffic", "receiver"}
    assert shown("--file", "compose.yaml", "--file", "compose.secrets.yaml") == set()


def test_git_and_the_build_of_the_image_leave_out_what_is_written_for_the_compose_project() -> None:
    local = [f"deploy/compose/{name}" for name in (".env", "alertmanager.yaml", "secrets/token", "templates/own.tmpl")]
    ignored = subprocess.run(
        ["git", "check-ignore", *local], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    assert ignored.splitlines() == local
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert lines.index("deploy/compose") > lines.index("!deploy")


def test_every_variable_of_the_compose_project_is_in_the_example() -> None:
    example = (COMPOSE / ".env.example").read_text("utf-8")
    used = set(re.findall(r"(?:\$\{|\{environment: )(\w+)", (COMPOSE / "compose.yaml").read_text("utf-8")))
    assert {name for name in used if not name.endswith("_IMAGE")} == set(
        re.findall(r"^#?(\w+)=", example, re.MULTILINE)
    )


def test_the_unit_is_valid_and_exposes_little(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/dataexport/bin/dataexport-exporter", "/bin/true"), "utf-8")
    verified = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True, check=False
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) < 1.5


def test_the_wheel_and_the_source_distribution_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    built = []
    for name in ("first", "second"):
        command = [sys.executable, str(ROOT / "scripts" / "build_dist.py"), str(tmp_path / name)]
        subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, check=True
        )
        built.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert built[0] == built[1]
    assert sorted(built[0]) == [
        f"dataexport_exporter-{__version__}-py3-none-any.whl",
        f"dataexport_exporter-{__version__}.tar.gz",
    ]
    wheel, archive = (tmp_path / "first" / name for name in sorted(built[0]))
    with zipfile.ZipFile(wheel) as packed:
        prefix = "exporter/cli/assets/"
        shipped = [name.removeprefix(prefix) for name in packed.namelist() if name.startswith(prefix)]
        assert sorted(shipped) == sorted([*assets.names(), "__init__.py"])
        assert all(packed.read(prefix + name) == assets.read(name) for name in assets.names())
        assert {name.split("/")[0] for name in packed.namelist()} == {
            "exporter",
            f"dataexport_exporter-{__version__}.dist-info",
        }
    with tarfile.open(archive) as packed_sources:
        assert [name for name in packed_sources.getnames() if "/tests" in name] == []


def test_links_of_the_readme_work_on_an_index_of_packages() -> None:
    readme = with_absolute_links((ROOT / "README.md").read_text("utf-8"), "1.2.3")
    assert re.findall(r"\]\((?!https?:|#)", readme) == []
    base = "https://github.com/dataexport/dataexport-exporter"
    assert f"]({base}/blob/v1.2.3/docs/how-to/install-pip.md)" in readme
    assert f"]({base}/raw/v1.2.3/docs/images/lateness.svg)" in readme


def test_both_bills_of_materials_list_the_same() -> None:
    root = {"bom-ref": "root", "name": "dataexport-exporter", "version": "1.2.3", "licenses": [{"expression": "MIT"}]}
    flask = {"bom-ref": "flask==3", "name": "flask", "version": "3", "purl": "pkg:pypi/flask@3"}
    bom = {
        "metadata": {"component": root},
        "components": [flask],
        "dependencies": [{"ref": "root", "dependsOn": ["flask==3"]}, {"ref": "flask==3"}],
    }
    document = spdx(bom, "2026-11-30T00:00:00Z")
    assert [(each["name"], each["licenseDeclared"]) for each in document["packages"]] == [
        ("dataexport-exporter", "MIT"),
        ("flask", "NOASSERTION"),
    ]
    assert {each["SPDXID"] for each in document["packages"]} == {"SPDXRef-root", "SPDXRef-flask--3"}
    assert [each["relationshipType"] for each in document["relationships"]] == ["DESCRIBES", "DEPENDS_ON"]


def test_pages_publish_ports_on_loopback_and_show_no_token_to_copy() -> None:
    pages = {path: path.read_text("utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}
    published = [port for page in pages.values() for port in re.findall(r"(?:-p|--publish)[ =](\S*\d:\d\S*)", page)]
    assert len(published) >= 4
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    token = re.compile(r"(?i)change-?me|_TOKENS?=(?!\$|\S*_FILE)[\w\"']")
    assert [str(path) for path, page in pages.items() if token.search(page)] == []


def test_each_way_of_running_reaches_its_first_scrape_within_a_screen() -> None:
    first_scrape = {
        "container": "/metrics",
        "compose": "docker compose logs --follow receiver",  # which shows what came of the scrape
        "kubernetes": "helm test ",
        "pip": "/metrics",
        "systemd": "/metrics",
    }
    for way, command in first_scrape.items():
        lines = (ROOT / "docs" / "how-to" / f"install-{way}.md").read_text("utf-8").splitlines()
        typed = [number for number, line in enumerate(lines, 1) if line.startswith("$ ") and command in line]
        assert typed[0] <= SCREEN_LINES, way
