"""Checks the public way to a source's webhook, from outside, for the command `verify`.

Each check yields findings. A check that makes the later ones meaningless, such as a name that
cannot be resolved, ends the verification.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from exporter.cli.http_client import NoAnswerError, explain, send_request
from exporter.cli.webhook_client import VENDOR_TIMEOUT_SECONDS, explain_refusal, request_webhook
from exporter.domain.errors import ExporterError
from exporter.domain.frequency import DAY
from exporter.domain.humanize import format_duration
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from exporter.cli.http_client import Credential

CERTIFICATE_DAYS = 14
"""A certificate that expires earlier is a finding, as for the alert ExportCertificateExpiring."""
ADMIN_TIMEOUT_SECONDS = 10
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        passed: whether it is as it should be.
        text: what was found; if it did not pass, with what to do.
    """

    passed: bool
    text: str


class _StopError(Exception):
    """A check failed that the later ones need."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to verify.

    Attributes:
        url: the public URL of the webhook.
        credential: the credential of the source.
        admin_url: the admin listener; empty if it cannot be reached from here.
        admin_credential: the credential of the admin listener.
    """

    url: str
    credential: Credential
    admin_url: str
    admin_credential: Credential


def verify(target: Target) -> Iterator[Finding]:
    """Yield a finding for each check.

    Raises:
        ExporterError: the URL is none, a token file cannot be read, or the admin listener does not answer.
    """
    address = urlsplit(target.url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        path = registry.webhook_path(registry.DEFAULT, "shop")
        message = f"{target.url}: that is not a URL; give one such as https://exports.example{path}"
        raise ExporterError(message)
    headers = target.credential.headers()
    try:
        yield _check_name(address)
        yield _check_certificate(address)
        before = _count_test_calls(target, address)
        yield _check_test_call(target, headers)
        yield _check_wrong_token(target, address)
        yield _check_metrics(address)
        if target.admin_url:
            yield _check_count(target, before, _count_test_calls(target, address))
    except _StopError as error:
        yield Finding(passed=False, text=str(error))


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


def _check_name(address: SplitResult) -> Finding:
    try:
        found = socket.getaddrinfo(address.hostname, _port(address), type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"name: {address.hostname} cannot be resolved; correct it, or create its record in DNS"
        raise _StopError(message) from error
    addresses = dict.fromkeys(str(each[4][0]) for each in found)
    return Finding(passed=True, text=f"name: {address.hostname} is {', '.join(addresses)}")


def _check_certificate(address: SplitResult) -> Finding:
    if address.scheme == "http":
        is_local = address.hostname in _LOOPBACK
        advice = "" if is_local else "; the token is sent in clear text: use https://, with TLS in front of the webhook"
        return Finding(is_local, f"certificate: none, because the URL is http://{advice}")
    try:
        context = _public_authorities()
        with (
            socket.create_connection((address.hostname, _port(address)), VENDOR_TIMEOUT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=address.hostname) as encrypted,
        ):
            certificate = encrypted.getpeercert() or {}
    except OSError as error:
        message = f"certificate: {explain(error, VENDOR_TIMEOUT_SECONDS)}"
        raise _StopError(message) from error
    left = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
    text = f"certificate: valid, expires in {format_duration(left)}"
    return Finding(left > CERTIFICATE_DAYS * DAY, text if left > CERTIFICATE_DAYS * DAY else f"{text}; renew it now")


def _public_authorities() -> ssl.SSLContext:
    """Return a context that trusts whom a vendor trusts: this machine's own store may have further authorities."""
    return ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH)


def _check_test_call(target: Target, headers: dict[str, str]) -> Finding:
    body = registry.adapter_at(target.url).test_call or "{}"
    began = time.monotonic()
    try:
        response = request_webhook(target.url, body, headers)
    except NoAnswerError as error:
        message = f"test call: {error}"
        raise _StopError(message) from error
    took = time.monotonic() - began
    if response.is_redirect:
        to = response.headers.get("Location", "")
        message = (
            f"redirect: the answer is {response.status_code} to {to}, which a vendor does not follow; use that URL"
        )
        raise _StopError(message)
    if response.status_code != HTTPStatus.OK:
        message = f"test call: {explain_refusal(response.status_code)}"
        raise _StopError(message)
    if _member(response, "test") is not True:
        message = "test call: the answer is 200, but not that of an exporter; correct the URL"
        raise _StopError(message)
    return Finding(passed=True, text=f"test call: 200 in {took:.2f} s")


def _check_wrong_token(target: Target, address: SplitResult) -> Finding:
    headers = target.credential.headers_of(secrets.token_hex())
    body = registry.adapter_at(target.url).test_call or "{}"
    try:
        status = request_webhook(target.url, body, headers).status_code
    except NoAnswerError as error:
        return Finding(passed=False, text=f"wrong token: {error}")
    if status == HTTPStatus.UNAUTHORIZED:
        return Finding(passed=True, text="wrong token: 401")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Finding(passed=False, text="wrong token: 429, too many were sent from here; wait a minute")
    if status == HTTPStatus.OK and target.credential.file is None and address.hostname in _LOOPBACK:
        return Finding(passed=True, text="wrong token: accepted, because the source has no credential (loopback only)")
    if status == HTTPStatus.OK:
        return Finding(passed=False, text="wrong token: it is accepted, so anybody can send; set tokens_file")
    return Finding(passed=False, text=f"wrong token: the answer is {status} instead of 401; check the proxy")


def _check_metrics(address: SplitResult) -> Finding:
    url = f"{address.scheme}://{address.netloc}/metrics"
    try:
        response = send_request("GET", url, timeout=ADMIN_TIMEOUT_SECONDS)
    except NoAnswerError as error:
        return Finding(passed=False, text=f"metrics: {error}")
    shows = response.status_code == HTTPStatus.OK and "dataexport_" in response.text
    if shows or response.status_code == HTTPStatus.UNAUTHORIZED:
        advice = "publish only the webhook listener, not the admin listener"
        return Finding(passed=False, text=f"metrics: {url} answers {response.status_code}; {advice}")
    return Finding(passed=True, text=f"metrics: not public ({response.status_code})")


def _count_test_calls(target: Target, address: SplitResult) -> int | None:
    """Return how many test calls of the source the exporter has counted; None without an admin listener, or source."""
    if not target.admin_url:
        return None
    url = f"{target.admin_url.rstrip('/')}/api/v1/sources"
    try:
        response = send_request("GET", url, headers=target.admin_credential.headers(), timeout=ADMIN_TIMEOUT_SECONDS)
    except NoAnswerError as error:
        message = f"--admin-url {target.admin_url}: {error}"
        raise ExporterError(message) from error
    sources = _member(response, "sources")
    if response.status_code != HTTPStatus.OK or not isinstance(sources, list):
        advice = (
            "give --admin-token-file, and --admin-user for HTTP Basic"
            if response.status_code == HTTPStatus.UNAUTHORIZED
            else "correct it"
        )
        message = f"--admin-url {target.admin_url}: the answer is {response.status_code}, not the sources; {advice}"
        raise ExporterError(message)
    slug = address.path.rpartition("/")[2]
    return next((source["test_calls"] for source in sources if source["slug"] == slug), None)


def _check_count(target: Target, before: int | None, after: int | None) -> Finding:
    if before is not None and after is not None and after > before:
        return Finding(passed=True, text=f"counted: by the exporter at {target.admin_url}")
    advice = "the URL leads to another exporter, or is of another source"
    return Finding(passed=False, text=f"counted: not by the exporter at {target.admin_url}; {advice}")


def _member(response: requests.Response, name: str) -> object:
    """Return a member of a JSON object; None if the body is none, or has no such member."""
    try:
        document = response.json()
    except requests.JSONDecodeError:
        return None
    return document.get(name) if isinstance(document, dict) else None
