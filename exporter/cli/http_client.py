"""Makes the HTTP requests of commands, and says in words of its own why one had no answer."""

from __future__ import annotations

import base64
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from exporter.config import secret_files
from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.Timeout, "no answer within {timeout:g} s; is a firewall or a proxy in between?"),
    (TimeoutError, "no answer within {timeout:g} s; is a firewall or a proxy in between?"),
    (ssl.SSLError, "no TLS is spoken there; is it https:// at a port for http://?"),
    (socket.gaierror, "the name cannot be resolved; correct it, or create its record in DNS"),
    (ConnectionRefusedError, "the connection was refused: nothing listens there; is it the right port?"),
)
"""Why a request had no answer, by the kind of error; the first that fits counts."""
_CUT = "the connection was cut without an answer; is it http:// at a port for https://?"
_CERTIFICATE_REASONS = {
    10: "the certificate has expired; renew it",
    18: "the certificate is self-signed; get one from a public authority",
    19: "the certificate is self-signed; get one from a public authority",
    20: "the issuer of the certificate is unknown; serve it with its chain, from a public authority",
    21: "the issuer of the certificate is unknown; serve it with its chain, from a public authority",
    62: "the certificate is for another name; get one for the name in the URL",
    64: "the certificate is for another address; get one for the address in the URL",
}
"""By the code of OpenSSL."""


class NoAnswerError(ExporterError):
    """A request had no answer; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The credential of a request, from a file.

    Attributes:
        option: the option that names the file, for messages.
        file: the file; None for no credential.
        header: the header that carries the token; empty for ``Authorization: Bearer``.
        user: the name for HTTP Basic, of which the file has the password; empty without.
    """

    option: str
    file: Path | None = None
    header: str = ""
    user: str = ""

    def headers(self) -> dict[str, str]:
        """Return the header with the first token, or the password, of the file; none without a file.

        Raises:
            ExporterError: a user has no file; or it cannot be read, or its secret cannot be in a header.
        """
        if self.file is None:
            if self.user:
                message = f"{self.option}: give the file with the password of {self.user}"
                raise ExporterError(message)
            return {}
        try:
            secret = secret_files.read_password(self.file) if self.user else secret_files.read_tokens(self.file)[0]
        except ValueError as error:
            message = f"{self.option}: {error}"
            raise ExporterError(message) from error
        return self.headers_of(secret)

    def headers_of(self, secret: str) -> dict[str, str]:
        """Return the header with a token or a password.

        Raises:
            ExporterError: the secret cannot be in a header.
        """
        if self.user:
            pair = f"{self.user}:{secret}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        try:
            secret.encode("latin-1")
        except UnicodeEncodeError as error:
            message = f"{self.option} {self.file}: its token has a character that no header can have"
            raise ExporterError(message) from error
        return {self.header: secret} if self.header else {"Authorization": f"Bearer {secret}"}


def send_request(  # noqa: PLR0913 - the parts of a request
    method: str,
    url: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    params: Mapping[str, str | list[str] | None] | None = None,
    json: object = None,
) -> requests.Response:
    """Send a request and return the response, whatever its status is. Redirects are not followed.

    Raises:
        NoAnswerError: there is none within ``timeout`` seconds.
    """
    try:
        return requests.request(
            method,
            url,
            params=params,
            data=None if body is None else body.encode(),
            json=json,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            auth=_no_login,
        )
    except (requests.RequestException, ValueError) as error:
        raise NoAnswerError(explain(error, timeout)) from error


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from replacing our credential by one of the user's .netrc."""
    return request


def explain(error: Exception, timeout: float) -> str:
    """Explain why a request had no answer, and what to do; ``timeout`` is in seconds."""
    if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError):
        return "that is not a URL; give one such as http://127.0.0.1:10047"
    causes = list(_causes(error))
    code = next((cause.verify_code for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if code is not None:
        return _CERTIFICATE_REASONS.get(code, "the certificate is not valid; get another one")
    reasons = (reason for kind, reason in _REASONS for cause in causes if isinstance(cause, kind))
    return next(reasons, _CUT).format(timeout=timeout)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that it contains or was caused by."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            parts = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
            waiting += [part for part in parts if isinstance(part, BaseException)]
