"""Asks the admin listener of a running exporter whether it is ready."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from exporter.config.values import Address

MAX_ANSWER_BYTES = 65536


def check_readiness(address: Address, timeout: float) -> str:
    """Return a sentence that says that the exporter is ready.

    Args:
        address: the address of the admin listener.
        timeout: seconds to wait for the connection and for the response.

    Raises:
        ExporterError: it is not ready, or does not answer; the message says why.
    """
    connection = http.client.HTTPConnection(address.from_here.host, address.port, timeout=timeout)
    try:
        connection.request("GET", "/-/ready")
        response = connection.getresponse()
        body = response.read(MAX_ANSWER_BYTES)
    except TimeoutError as error:
        message = f"not ready: {address} does not answer within {timeout:g} s"
        raise ExporterError(message) from error
    except OSError as error:
        message = f"not ready: nothing answers at {address}, server.admin_listen ({error.strerror or error})"
        raise ExporterError(message) from error
    except http.client.HTTPException as error:
        message = f"not ready: what answers at {address} is not an exporter"
        raise ExporterError(message) from error
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        message = f"not ready: {_reason(body) or f'{address} answers {response.status}'}"
        raise ExporterError(message)
    return f"ready: {address}"


def _reason(body: bytes) -> str:
    """Return the detail of a problem document; empty if the body is none."""
    try:
        return " ".join(str(json.loads(body)["detail"]).split())
    except (ValueError, LookupError, TypeError):
        return ""
