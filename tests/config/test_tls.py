"""TLS on the public listener, with certificates of openssl and a client that checks them."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
import requests

import certificates
from builders import body
from exporter.config import loader, tls
from exporter.domain.errors import ConfigurationError
from monitoring import clean_environment
from running import COMMAND, PATIENCE_SECONDS, Exporter, wait_until
from running_here import LocalExporter
from serving_here import LocalListener
from tools import program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def named(certificate: Path, key: Path) -> dict[str, str]:
    return {"DATAEXPORT_TLS_CERTIFICATE_FILE": str(certificate), "DATAEXPORT_TLS_KEY_FILE": str(key)}


def problems(environment: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        loader.load(None, environment)
    return list(raised.value.problems)


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def served(exporter: Exporter, *, name: str | None = "localhost") -> str:
    """The common name of the certificate that a client is shown, with or without asking for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", exporter.webhook_port), 20) as plain,
        context.wrap_socket(plain, server_hostname=name) as client,
    ):
        shown = client.getpeercert(binary_form=True)
    assert shown
    received = subprocess.run(
        [program("openssl"), "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253"],
        input=shown,
        capture_output=True,
        check=True,
    )
    return received.stdout.decode().strip().removeprefix("subject=CN=")


def test_the_webhook_speaks_tls_and_the_admin_listener_does_not(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    with Exporter(tmp_path, environment=named(certificate, key)) as exporter:
        url = f"https://localhost:{exporter.webhook_port}/webhooks/clevertap/default"
        answer = exporter.http.post(url, body(), verify=str(certificate), timeout=PATIENCE_SECONDS)
        assert answer.json()["accepted"] == 1
        large = exporter.http.post(url, b"x" * 3_000_000, verify=str(certificate), timeout=PATIENCE_SECONDS)
        assert large.status_code == 413
        with pytest.raises(requests.exceptions.SSLError):
            exporter.http.post(url, body(), timeout=PATIENCE_SECONDS)
        with pytest.raises(requests.ConnectionError):
            exporter.webhook("POST", "/webhooks/clevertap/default", data=body())
        assert exporter.admin("/-/healthy").status_code == 200
        described = exporter.admin("/api/v1/openapi.json").json()["paths"]["/webhooks/clevertap/{source}"]
        assert described["servers"][0]["url"] == f"https://127.0.0.1:{exporter.webhook_port}"
        assert exporter.terminate() == 0
        assert "Traceback" not in exporter.log()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    found = loader.load(None, named(certificate, key)).tls
    client = trusting(certificate)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    with (
        LocalListener(context=found) as listener,
        listener.connect() as plain,
        pytest.raises(ssl.SSLError),
        client.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_a_new_certificate_is_served_after_a_reload_and_no_connection_is_cut(tmp_path: Path) -> None:
    first, second = (certificates.make(tmp_path, name) for name in ("first", "second"))
    pair = certificates.make(tmp_path, "served")
    shutil.copy(first[0], pair[0])
    shutil.copy(first[1], pair[1])
    with LocalExporter(tmp_path, environment=named(*pair)) as exporter, requests.Session() as kept:
        url = f"https://localhost:{exporter.webhook_port}/webhooks/clevertap/default"
        kept.verify, kept.trust_env = str(first[0]), False
        assert kept.post(url, body(request_id=1), timeout=PATIENCE_SECONDS).status_code == 200
        assert served(exporter) == "first"

        shutil.copy(second[0], pair[0])  # the key is still the first one's
        assert exporter.admin("/-/reload", "POST").status_code == 500
        assert exporter.value("dataexport_config_last_reload_successful") == 0
        assert "does not belong to the certificate" in exporter.log()
        assert served(exporter) == "first"

        shutil.copy(second[1], pair[1])
        exporter.send_sighup()
        wait_until(lambda: served(exporter) == "second", "the new certificate is served")
        assert served(exporter, name=None) == "second"
        assert exporter.value("dataexport_config_last_reload_successful") == 1
        # The pool of this session trusts the first alone: a new connection would fail.
        assert kept.post(url, body(request_id=2), timeout=PATIENCE_SECONDS).status_code == 200


def test_tls_cannot_be_switched_on_or_off_by_a_reload(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    toml = f'[server]\ntls_certificate_file = "{certificate.name}"\ntls_key_file = "{key.name}"\n'
    with LocalExporter(tmp_path, toml) as exporter:
        exporter.config_path.write_text("[server]\n", "utf-8")
        assert exporter.admin("/-/reload", "POST").status_code == 200
        assert '"tls"' in exporter.log()
        assert served(exporter) == "first"


def test_what_cannot_be_used_is_refused_with_its_reason(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    _, other = certificates.make(tmp_path, "other")
    at = "environment: DATAEXPORT_TLS_CERTIFICATE_FILE, DATAEXPORT_TLS_KEY_FILE: "
    nothing = tmp_path / "nothing"
    (received,) = problems(named(nothing, key))
    assert received.startswith(
        f"{at}{str(nothing)!r} cannot be read (No such file or directory); give a file with the cert"
    )
    (tmp_path / "der").write_bytes(b"\x30\x82")
    assert "is not PEM; give a file with the key" in problems(named(certificate, tmp_path / "der"))[0]
    assert problems(named(certificate, other)) == [
        f"{at}the key {str(other)!r} does not belong to the certificate {str(certificate)!r}; give its own"
    ]
    assert "cannot be used" in problems(named(key, key))[0]
    lone = named(certificate, key)
    for gone, kept in (("key", "certificate"), ("certificate", "key")):
        one = {name: value for name, value in lone.items() if gone.upper() not in name}
        assert problems(one) == [
            f"environment: DATAEXPORT_TLS_{kept.upper()}_FILE: requires server.tls_{gone}_file, which is missing"
        ]


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    locked = tmp_path / "locked.key"
    subprocess.run(
        [program("openssl"), "pkey", "-in", key, "-out", locked, "-aes256", "-passout", "pass:word"],
        check=True,
        capture_output=True,
    )
    locked.chmod(0o600)
    assert "the key has a passphrase" in problems(named(certificate, locked))[0]


def test_a_key_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    key.chmod(0o644)
    (received,) = problems(named(certificate, key))
    assert received.startswith("environment: DATAEXPORT_TLS_KEY_FILE: every user of this machine can read")


def test_a_start_with_a_wrong_certificate_ends_with_its_reason(tmp_path: Path) -> None:
    certificate, _ = certificates.make(tmp_path, "first")
    _, other = certificates.make(tmp_path, "other")
    started = subprocess.run(
        [COMMAND, "serve"],
        cwd=tmp_path,
        env=clean_environment(named(certificate, other)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert started.returncode == 2
    assert "does not belong to the certificate" in started.stderr
    assert "Traceback" not in started.stderr


def test_who_does_not_speak_tls_is_hung_up_on(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    with LocalExporter(tmp_path, environment=named(certificate, key)) as exporter:
        for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(range(256)), b""):
            with socket.create_connection(("127.0.0.1", exporter.webhook_port), 20) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                try:
                    while client.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
        assert served(exporter) == "first"
        assert "Traceback" not in exporter.log()
        assert "ssl" not in exporter.log().lower()


def test_the_end_of_a_certificate_is_read_and_the_earliest_of_its_chain_counts(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "short")
    openssl = program("openssl")
    shown = subprocess.run([openssl, "x509", "-in", certificate, "-noout", "-enddate"], capture_output=True, check=True)
    ends = ssl.cert_time_to_seconds(shown.stdout.decode().strip().removeprefix("notAfter="))
    assert loader.load(None, named(certificate, key)).tls_expires_at == ends
    assert loader.load(None, {}).tls_expires_at == 0
    longer = tmp_path / "longer.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-key", key, "-days", "20000", "-subj", "/CN=longer", "-out", longer], check=True
    )
    assert tls.expiry(longer.read_text("ascii")) > 2**31 + 8e8  # in another form than dates before 2050
    assert tls.expiry(longer.read_text("ascii") + certificate.read_text("ascii")) == ends
