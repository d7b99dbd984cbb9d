"""The exporter behind a real nginx and a real Caddy, with the configuration that deploy/ has for them."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import certificates
from builders import body
from monitoring import ROOT
from ports import free_port
from running import PATIENCE_SECONDS, Exporter, wait_until
from running_here import LocalExporter
from tools import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "exports.example.com"
SOURCES = '[server]\ntrusted_hops = {hops}\n[[sources]]\nslug = "shop"\ntokens = ["the-right-token!"]\n'
PATH = "/webhooks/clevertap/shop"


@dataclass
class Proxy:
    """A proxy on a port of its own, in front of an exporter."""

    port: int
    certificate: Path

    def ask(
        self, sent: bytes, token: str, *, client: str, forwarded_for: str = "", path: str = PATH
    ) -> tuple[int, bytes]:
        """Post over TLS from one of the addresses of loopback."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=PATIENCE_SECONDS, context=context, source_address=(client, 0)
        )
        headers = {"Authorization": f"Bearer {token}"} | ({"X-Forwarded-For": forwarded_for} if forwarded_for else {})
        connection.request("POST", path, sent, headers)
        answer = connection.getresponse()
        told = answer.status, answer.read()
        connection.close()
        return told

    def answers(self) -> bool:
        try:
            return self.ask(b"", "", client="127.0.0.9", path="/")[0] == 404
        except OSError:
            return False


def nginx(folder: Path, port: int, exporter: Exporter, certificate: Path, key: Path) -> list[str]:
    """Its command, for the site of deploy/nginx.conf."""
    site = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    for given, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server 127.0.0.1:8080", f"server 127.0.0.1:{exporter.webhook_port}"),
        (NAME, "localhost"),
        ("/etc/ssl/dataexport.pem", str(certificate)),
        ("/etc/ssl/private/dataexport.key", str(key)),
    ):
        assert given in site
        site = site.replace(given, here)
    temporary = "".join(f"{each}_temp_path {folder};\n" for each in ("proxy", "fastcgi", "uwsgi", "scgi"))
    rest = f"access_log off;\nclient_body_temp_path {folder};\n{temporary}"
    main = f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{\n{rest}{site}\n}}\n", "utf-8")
    return [program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, exporter: Exporter, certificate: Path, key: Path) -> list[str]:
    """Its command, for the site of deploy/Caddyfile."""
    site = (ROOT / "deploy" / "Caddyfile").read_text("utf-8")
    for given, here in (
        (f"{NAME} {{", f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {key}"),
        ("reverse_proxy 127.0.0.1:8080", f"reverse_proxy 127.0.0.1:{exporter.webhook_port}"),
    ):
        assert given in site
        site = site.replace(given, here)
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}", "utf-8")
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@pytest.fixture
def hops() -> int:
    return 1


@pytest.fixture
def exporter(tmp_path: Path, hops: int) -> Iterator[Exporter]:
    with LocalExporter(tmp_path, SOURCES.format(hops=hops)) as running:
        yield running


@pytest.fixture(params=[nginx, caddy])
def proxy(request: pytest.FixtureRequest, tmp_path: Path, exporter: Exporter) -> Iterator[Proxy]:
    folder = tmp_path / "proxy"
    folder.mkdir()
    certificate, key = certificates.make(folder, "localhost")
    port = free_port()
    command = request.param(folder, port, exporter, certificate, key)
    homes = os.environ | {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with (folder / "log").open("wb") as log, subprocess.Popen(command, env=homes, stdout=log, stderr=log) as process:
        made = Proxy(port, certificate)
        try:
            wait_until(lambda: made.answers() or process.poll() is not None, "the proxy answers")
            assert process.poll() is None, (folder / "log").read_text("utf-8")
            yield made
        finally:
            process.terminate()


def test_a_stranger_behind_a_proxy_is_told_to_wait_and_nobody_else(proxy: Proxy, exporter: Exporter) -> None:
    guesses = [
        proxy.ask(b"{}", f"guess-{number}", client="127.0.0.2", forwarded_for=f"198.51.100.{number}")[0]
        for number in range(12)
    ]
    assert guesses == [401] * 10 + [429] * 2
    assert proxy.ask(b"{}", "guess", client="127.0.0.3")[0] == 401
    code, told = proxy.ask(body(), "the-right-token!", client="127.0.0.2")
    assert (code, json.loads(told)["accepted"]) == (200, 1)
    wait_until(lambda: '"client": "127.0.0.2"' in exporter.log(), "it is logged whose requests they were")
    assert "198.51.100" not in exporter.log()


@pytest.mark.parametrize("hops", [0])
def test_without_the_setting_all_who_come_by_a_proxy_are_one(proxy: Proxy) -> None:
    guesses = [proxy.ask(b"{}", "guess", client=f"127.0.0.{number}")[0] for number in range(2, 14)]
    assert guesses == [401] * 10 + [429] * 2
    assert proxy.ask(body(), "the-right-token!", client="127.0.0.2")[0] == 200


def test_a_proxy_shows_the_webhook_alone_and_passes_on_what_it_answers(proxy: Proxy, exporter: Exporter) -> None:
    assert proxy.ask(b"", "the-right-token!", client="127.0.0.2", path="/metrics")[0] == 404
    code, told = proxy.ask(b"{", "the-right-token!", client="127.0.0.2")
    assert (code, json.loads(told)["status"]) == (400, 400)
    assert proxy.ask(b"x" * 1_100_000, "the-right-token!", client="127.0.0.2")[0] == 413
    away = exporter.database.rename(exporter.folder / "elsewhere.db")
    code, told = proxy.ask(body(request_id=2), "the-right-token!", client="127.0.0.2")
    assert (code, json.loads(told)["status"]) == (503, 503)
    away.rename(exporter.database)
    many = [proxy.ask(body(request_id=number), "the-right-token!", client="127.0.0.2")[0] for number in range(3, 30)]
    assert many == [200] * 27
