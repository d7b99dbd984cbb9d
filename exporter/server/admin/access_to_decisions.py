"""Refuses decisions over HTTP from an open network: a person who can mute an export can suppress all its alerts.

The admin listener has already checked the credential, or on loopback the ``Host`` and the origin of the request.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.server.http.problems import problem_document

if TYPE_CHECKING:
    from exporter.config.loader import Config
    from exporter.server.http.messages import HttpResponse

_NEEDS_CREDENTIAL = problem_document(
    HTTPStatus.FORBIDDEN,
    "the admin listener is open to other machines without a credential, so it accepts no decisions; set "
    "server.admin_tokens_file, admin_tokens or admin_basic, or decide with the commands on the exporter's machine",
)


def may_decide(config: Config) -> bool:
    """Return whether a request that is not refused may change something: mute, retire, replay.

    A listener that everyone may read, because `server.admin_open` is set, accepts no decisions.
    """
    return config.admin_credentials.are_required or config.admin_listen.is_loopback


def refuse_decision(config: Config) -> HttpResponse | None:
    """Refuse decisions over HTTP if anybody in the network could make them; return None if they are allowed."""
    return None if may_decide(config) else _NEEDS_CREDENTIAL
