"""Sessions of people who signed in with a browser, which cannot send a bearer token, and the tokens of their forms.

A session is a signed text in a cookie. The key is made at the start of the process and never leaves it: a restart, or
another credential, ends all sessions.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from typing import TYPE_CHECKING

from exporter.domain.frequency import HOUR

if TYPE_CHECKING:
    from exporter.config.credentials import Credentials

SESSION_SECONDS = 12 * HOUR


def session_cookie(port: int) -> str:
    """Return the name of the cookie. Cookies do not belong to a port: two exporters on one host need two names."""
    return f"dataexport_session_{port}"


class Sessions:
    """Makes and checks sessions and form tokens; safe for several threads. ``now`` is in Unix seconds."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._ended: dict[str, int] = {}  # sessions that were signed out, until they would have expired
        self._lock = threading.Lock()

    def begin(self, credentials: Credentials, now: float) -> str:
        """Return a new session for somebody who showed one of the credentials."""
        content = f"{int(now) + SESSION_SECONDS}.{secrets.token_urlsafe(16)}"
        return f"{content}.{self._sign('session', content, credentials.fingerprint.hex())}"

    def is_valid(self, session: str, credentials: Credentials, now: float) -> bool:
        """Return whether a session was made here for these credentials, and has neither expired nor been ended."""
        content, _, signature = session.rpartition(".")
        expected = self._sign("session", content, credentials.fingerprint.hex())
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            return False
        return int(content.partition(".")[0]) > now and session not in self._ended

    def end(self, session: str, now: float) -> None:
        """End a valid session before it expires."""
        with self._lock:
            self._ended = {each: expires for each, expires in self._ended.items() if expires > now}
            self._ended[session] = int(session.partition(".")[0])

    def form_token(self, session: str) -> str:
        """Return the token that every form of a session has; ``session`` is empty for a client without one.

        A page of another site can neither read it nor make it up.
        """
        return self._sign("form", session)

    def is_form_token(self, token: str, session: str) -> bool:
        """Return whether ``token`` is `form_token` of the session."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.form_token(session).encode())

    def _sign(self, *texts: str) -> str:
        return hmac.digest(self._key, "\n".join(texts).encode("utf-8", "replace"), "sha256").hex()
