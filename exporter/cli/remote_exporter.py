"""Asks a running exporter through the API of its admin listener."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests

from exporter import __version__
from exporter.cli.http_client import NoAnswerError, send_request
from exporter.domain.errors import DecisionRefusedError, ExporterError
from exporter.domain.humanize import format_iso
from exporter.ingest.replay import ReplayResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.cli.exporter_access import Document
    from exporter.cli.http_client import Credential
    from exporter.domain.decision_rules import Author, MuteEnd
    from exporter.domain.state_filter import StateFilter
    from exporter.ingest.replay import QuarantineSelection

TIMEOUT_SECONDS = 30
MOST_EXPORTS, MOST_EVENTS, MOST_BODIES, MOST_DECISIONS = 10_000, 1_000, 100, 1_000
"""What one request returns at most."""


class RemoteExporter:
    """A running exporter; see `exporter.cli.exporter_access.ExporterAccess`.

    Args:
        url: the base URL of its admin listener.
        credential: the credential of the admin listener.
    """

    def __init__(self, url: str, credential: Credential) -> None:
        self._url = url.rstrip("/")
        self._credential = credential
        self._headers = credential.headers()

    def list_exports(self, chosen: StateFilter) -> list[Document]:
        """See `ExporterAccess`."""
        query = {"state": chosen.state, "source": chosen.source, "owner": chosen.owner, "search": chosen.search}
        return self._list("exports", query, MOST_EXPORTS)

    def export_detail(self, export_id: str) -> Document:
        """See `ExporterAccess`."""
        return self._request("GET", f"exports/{export_id}")

    def list_events(self, source: str | None, limit: int) -> list[Document]:
        """See `ExporterAccess`."""
        return self._list("events", {"source": source}, MOST_EVENTS, limit)

    def list_sources(self) -> list[Document]:
        """See `ExporterAccess`."""
        sources: list[Document] = self._request("GET", "sources")["sources"]
        return sources

    def known_slugs(self) -> set[str]:
        """See `ExporterAccess`."""
        return {source["slug"] for source in self.list_sources()}

    def list_quarantine(self, source: str | None, limit: int) -> list[Document]:
        """See `ExporterAccess`."""
        return self._list("quarantine", {"source": source}, MOST_BODIES, limit)

    def list_refused(self, source: str | None, limit: int) -> list[Document]:
        """See `ExporterAccess`."""
        return self._list("refused", {"source": source}, MOST_BODIES, limit)

    def list_mutes(self) -> list[Document]:
        """See `ExporterAccess`."""
        return self._list("mutes", {}, MOST_DECISIONS)

    def list_retirements(self) -> list[Document]:
        """See `ExporterAccess`."""
        return self._list("retirements", {}, MOST_DECISIONS)

    def mute(self, export_id: str, end: MuteEnd, author: Author) -> float:
        """See `ExporterAccess`."""
        length = {"for": int(end.lasts)} if end.lasts else {"until": format_iso(end.at)}
        body = {"export_id": export_id, **length, **author._asdict()}
        return float(self._request("POST", "mutes", body=body)["mute"]["until_seconds"])

    def unmute(self, export_id: str, author: Author) -> None:
        """See `ExporterAccess`."""
        self._request("DELETE", f"mutes/{export_id}", author._asdict())

    def retire(self, export_id: str, author: Author) -> None:
        """See `ExporterAccess`."""
        self._request("POST", "retirements", body={"export_id": export_id, **author._asdict()})

    def unretire(self, export_id: str, author: Author) -> None:
        """See `ExporterAccess`."""
        self._request("DELETE", f"retirements/{export_id}", author._asdict())

    def replay_quarantine(self, selection: QuarantineSelection, *, dry_run: bool) -> ReplayResult:
        """See `ExporterAccess`."""
        body = {"preview": dry_run, **asdict(selection)}
        result = ReplayResult()
        after: int | None = 0
        while after is not None:
            page = self._request("POST", "replays", body=body | {"after": after})["replay"]
            result.accepted += page["accepted"]
            result.duplicates += page["duplicates"]
            result.test_calls += page["test_calls"]
            result.still_quarantined.update(Counter(page["still_quarantined"]))
            after = page["next_after"]
        return result

    def _list(self, name: str, query: Mapping[str, str | None], most: int, limit: int = sys.maxsize) -> list[Document]:
        """Return the items of all pages of a list, up to a limit."""
        items: list[Document] = []
        path = f"{name}?limit={min(most, limit)}"
        while path and len(items) < limit:
            page = self._request("GET", path, query)
            items += page[name]
            path, query = f"{name}{page['next']}" if page["next"] else "", {}
        return items[:limit]

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Document:
        """Send a request and return the document in the response.

        Raises:
            DecisionRefusedError: the exporter refuses a decision.
            ExporterError: there is no answer, or not the one of an exporter.
        """
        try:
            response = send_request(
                method,
                f"{self._url}/api/v1/{path}",
                headers=self._headers,
                params=query,
                json=body,
                timeout=TIMEOUT_SECONDS,
            )
        except NoAnswerError as error:
            raise self._error(str(error)) from error
        document = _document(response)
        if response.ok and document is not None:
            return document
        raise self._explain(response, document or {})

    def _explain(self, response: requests.Response, problem: Document) -> ExporterError:
        """Return the error of a response without a document."""
        status, detail = response.status_code, str(problem.get("detail", ""))
        is_decision = response.request.method != "GET"
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT} and detail and is_decision:
            return DecisionRefusedError(detail)
        if status == HTTPStatus.NOT_FOUND and detail and not str(response.url).endswith("/openapi.json"):
            return self.other_release()
        if response.is_redirect:
            text = f"the answer is {status} to {response.headers.get('Location', '')}; give that address"
        elif status == HTTPStatus.UNAUTHORIZED and self._credential.file is None:
            text = (
                "the exporter requires a credential; give --token-file with a token of server.admin_tokens, "
                "or with the password of server.admin_basic and its name with --user"
            )
        elif status == HTTPStatus.UNAUTHORIZED:
            secret = f"the password of {self._credential.user}" if self._credential.user else "the token"
            text = f"the exporter does not accept {secret} in {self._credential.file}; give another file"
        elif detail:
            text = f"the answer is {status}: {detail}"
        else:
            text = f"the answer is {status}, not that of an exporter; give the address of its admin listener"
        return self._error(text)

    def other_release(self) -> ExporterError:
        """Return the error that the exporter does not answer as this release does."""
        try:
            release = self._request("GET", "openapi.json")["info"]["version"]
        except (ExporterError, LookupError, TypeError):
            return self._error("what answers there is not an exporter, or a much older one; is it its admin listener?")
        return self._error(
            f"the exporter is release {release} and this command {__version__}; use those of one release"
        )

    def _error(self, text: str) -> ExporterError:
        return ExporterError(f"--url {self._url}: {text}")


def _document(response: requests.Response) -> Document | None:
    try:
        document = response.json()
    except requests.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
