"""Canaries: secrets that are configured and sent in every way, and that nothing may ever show."""

from __future__ import annotations

import base64
import json
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from builders import body
from ports import free_port
from running import Exporter, family

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.proof

IN_A_FILE, IN_TOML, IN_A_HEADER = "canary-tokens-file", "canary-tokens-toml", "canary+header/token="
PASSWORD, ADMIN_TOKEN, ADMIN_PASSWORD = "canary:long pass wörd", "canary-admin-token", "canary-admin-password"
FROM_ENVIRONMENT, WRONG = "canary-tokens-environment", "canary-wrong"
SECRETS = (IN_A_FILE, IN_TOML, IN_A_HEADER, PASSWORD, ADMIN_TOKEN, ADMIN_PASSWORD, FROM_ENVIRONMENT, WRONG)

TOML = f"""
[log]
level = "debug"

[[sources]]
slug = "file"
tokens_file = ["token"]

[[sources]]
slug = "toml"
tokens = ["{IN_TOML}"]

[[sources]]
slug = "header"
tokens = ["{IN_A_HEADER}"]
header = "X-Token"

[[sources]]
slug = "basic"
basic = {{ username = "clevertap", password_file = "password" }}

[[sources]]
slug = "default"
"""


def pair(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def found_in(text: str, secrets: Iterable[str] = SECRETS) -> set[str]:
    """The secrets that a text shows, plainly, escaped, or as Basic has them."""
    shown = set()
    for secret in secrets:
        encoded = {pair(user, secret) for user in ("clevertap", "admin", "canary")}
        forms = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1], *encoded}
        if any(form in text for form in forms):
            shown.add(secret)
    return shown


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    folder = tmp_path_factory.mktemp("canaries")
    files = {"token": IN_A_FILE, "password": PASSWORD, "admin": ADMIN_TOKEN}
    for name, secret in files.items():
        (folder / name).write_text(secret + "\n", "utf-8")
        (folder / name).chmod(0o600)
    (folder / "dataexport.toml").touch(0o600)
    environment = {
        "DATAEXPORT_TOKENS": FROM_ENVIRONMENT,
        "DATAEXPORT_ADMIN_TOKENS_FILE": str(folder / "admin"),
        "DATAEXPORT_ADMIN_BASIC": json.dumps({"username": "admin", "password": ADMIN_PASSWORD}),
    }
    with Exporter(folder, TOML, environment) as running:
        yield running


ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
RIGHT = {
    "file": {"Authorization": f"Bearer {IN_A_FILE}"},
    "toml": {"Authorization": f"Bearer {IN_TOML}"},
    "header": {"X-Token": IN_A_HEADER},
    "basic": {"Authorization": f"Basic {pair('clevertap', PASSWORD)}"},
    "default": {"Authorization": f"Bearer {FROM_ENVIRONMENT}"},
}


def answers(exporter: Exporter) -> Iterator[str]:
    """What it answers to requests that carry every secret somewhere, rightly and wrongly."""
    for source, headers in RIGHT.items():
        yield exporter.post(body(), source, headers).text
        yield exporter.post(b"no JSON", source, headers).text
        yield exporter.post(b"x" * 2_000_000, source, headers).text
    for headers in (*RIGHT.values(), ADMIN):
        for source in ("toml", "nobody"):
            value = next(iter(headers.values()))
            for other in ({"Cookie": value}, {"Authorization": value[1:]}, {"Proxy-Authorization": value}):
                yield exporter.post(body(), source, other).text
    for wrong in (f"Bearer {WRONG}", f"Basic {pair('canary', WRONG)}", f"Basic {WRONG}", f"{WRONG} x", WRONG):
        yield exporter.post(body(), "toml", {"Authorization": wrong}).text
        yield exporter.admin("/metrics", headers={"Authorization": wrong}).text
        yield exporter.admin("/-/reload", "POST", headers={"Authorization": wrong}).text
    for secret in SECRETS:
        yield exporter.webhook("POST", f"/webhooks/clevertap/toml?token={quote(secret)}", data=body()).text
        yield exporter.admin(f"/api/v1/events?token={quote(secret)}", headers=ADMIN).text
        yield exporter.admin(f"/?limit={quote(secret)}").text
    yield exporter.admin("/metrics", auth=("admin", ADMIN_PASSWORD)).text


def raw_answers(exporter: Exporter) -> Iterator[str]:
    """What both listeners answer to requests that are broken just where a secret is."""
    for port in (exporter.webhook_port, exporter.admin_port):
        for line in (
            f"POST /webhooks/clevertap/toml HTTP/1.1\r\nAuthorization Bearer {WRONG}\r\n\r\n",
            f"POST /webhooks/clevertap/toml HTTP/1.1\r\nAuthorization: Bearer {WRONG}{'x' * 10_000}\r\n\r\n",
            f"POST /webhooks/clevertap/toml HTTP/9.9\r\nAuthorization: Bearer {WRONG}\r\n\r\n",
            f"POST /webhooks/clevertap/toml HTTP/1.1\r\nContent-Length: {WRONG}\r\n\r\n",
            f"Authorization: Bearer {WRONG}\r\n\r\n",
        ):
            with closing(socket.create_connection(("127.0.0.1", port), 30)) as connection:
                connection.sendall(line.encode())
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while part := connection.recv(65_536):
                    answer += part
            yield answer.decode("latin-1")


def shown(exporter: Exporter) -> Iterator[str]:
    """Everything that it shows to those who may see it."""
    for path in ("/metrics", "/", "/-/ready", "/-/healthy"):
        yield exporter.admin(path, headers=ADMIN).text
    for name in ("exports", "events", "sources", "quarantine", "mutes", "retirements", "openapi.json"):
        yield exporter.admin(f"/api/v1/{name}", headers=ADMIN).text
    yield exporter.admin("/-/reload", "POST", headers=ADMIN).text
    file = str(exporter.config_path)
    for command in (
        ["check-config", file],
        ["doctor", "--config", file],
        ["rules", "--config", file],
        *([name, "--config", file] for name in ("exports", "events", "sources", "quarantine")),
    ):
        ended = exporter.run(*command)
        yield ended.stdout + ended.stderr
    for pid in family(exporter.pid):
        yield Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
        yield Path(f"/proc/{pid}/comm").read_text("utf-8", "replace")
    yield exporter.log()


def assert_no_secret(texts: Iterable[str]) -> None:
    for text in texts:
        assert not found_in(text), text[:2_000]


def test_every_secret_opens_what_it_should(exporter: Exporter) -> None:
    """Or the search below would look for what nobody ever used."""
    for source, headers in RIGHT.items():
        assert exporter.post(body(request_id="right"), source, headers).status_code == 200
        assert exporter.post(body(), source).status_code in {401, 429}  # the others may have failed often by now
    assert exporter.admin("/metrics").status_code == 401
    assert exporter.admin("/metrics", headers=ADMIN).status_code == 200
    assert exporter.admin("/metrics", auth=("admin", ADMIN_PASSWORD)).status_code == 200


def test_no_secret_is_ever_shown(exporter: Exporter) -> None:
    assert_no_secret(answers(exporter))
    assert_no_secret(raw_answers(exporter))
    assert_no_secret(shown(exporter))


def test_what_a_sender_writes_into_a_body_is_kept_and_found_by_the_same_search(exporter: Exporter) -> None:
    """The one exception: a quarantined body is the sender's own, and is shown as it came."""
    written = 'canary "in" a body'
    assert exporter.post({"Partner": written}, "toml", RIGHT["toml"]).json()["quarantined"] == 1
    assert found_in(exporter.admin("/api/v1/quarantine", headers=ADMIN).text, [json.dumps(written)[1:-1]])
    assert not found_in(exporter.log(), [written])


@pytest.mark.parametrize(
    ("toml", "environment"),
    [
        ('[[sources]]\nslug = "a"\ntokens = "canary-wrong"', {}),
        ('[[sources]]\nslug = "a"\ntokens = ["canary-wrong", 5]', {}),
        ('[[sources]]\nslug = "a"\ntoken = "canary-wrong"', {}),
        ('[[sources]]\nslug = "a"\nbasic = { username = "a", passwort = "canary-wrong" }', {}),
        ('[[sources]]\nslug = "a"\nbasic = "a:canary-wrong"', {}),
        ('[[sources]]\nslug = "a"\ntokens = ["canary-wrong]', {}),
        ("", {"DATAEXPORT_SOURCES": '[{"slug": "a", "tokens": ["canary-wrong"]'}),
        ("", {"DATAEXPORT_SOURCES": '[{"slug": "a", "tokens": "canary-wrong"}]'}),
        ("", {"DATAEXPORT_ADMIN_BASIC": '{"username": "a", "password": "canary-wrong"'}),
        ("", {"DATAEXPORT_ADMIN_BASIC": "a:canary-wrong"}),
        ("", {"DATAEXPORT_STORE_URL": "postgres://me:canary-wrong@127.0.0.1:{port}/exports"}),
        ("", {"DATAEXPORT_STORE_URL": "nonsense://me:canary-wrong@[bad/exports"}),
        ('[store]\nurl = "postgresql+psycopg://me:canary-wrong@127.0.0.1:{port}/exports?sslmode=no"', {}),
    ],
)
@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_a_configuration_that_is_refused_shows_no_secret(
    tmp_path: Path, toml: str, environment: dict[str, str], command: str
) -> None:
    port = str(free_port())
    given = {name: value.replace("{port}", port) for name, value in environment.items()}
    exporter = Exporter(tmp_path, toml.replace("{port}", port) or "\n", given | {"DATAEXPORT_LOG_LEVEL": "debug"})
    exporter.config_path.chmod(0o600)
    ended = exporter.run(command, "--config", str(exporter.config_path))
    assert ended.returncode in {1, 2}, ended.stdout + ended.stderr
    assert ended.stdout + ended.stderr
    assert_no_secret([ended.stdout, ended.stderr])


def test_a_command_shows_no_secret_of_a_store_that_is_away(tmp_path: Path) -> None:
    """`serve` would wait for it; `test_store_wait.py` looks at its log."""
    url = f"postgresql+psycopg://me:canary-wrong@127.0.0.1:{free_port()}/exports"
    ended = Exporter(tmp_path, environment={"DATAEXPORT_STORE_URL": url}).run("doctor")
    assert ended.returncode == 1
    assert "cannot open" in ended.stderr + ended.stdout
    assert_no_secret([ended.stdout, ended.stderr])
