"""The webhook as a Flask application: ``POST /webhooks/clevertap/<source>``, and nothing else."""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from werkzeug.exceptions import NotFound, RequestEntityTooLarge

from exporter.errors import StoreError
from exporter.web.exchange import Answer, Exchange, Headers
from exporter.web.problems import answer_with_problems, response
from exporter.web.webhook import NOT_FOUND, STORE_SECONDS, acknowledgement, outcome

if TYPE_CHECKING:
    from exporter.intake import Receipt
    from exporter.model import Source
    from exporter.web.webhook import Webhook


def create_app(webhook: Webhook) -> Flask:
    """The WSGI application of the public listener."""
    app = Flask("exporter.web.receiver", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    @app.before_request
    def begin() -> None:
        peer = request.remote_addr or ""
        g.exchange = Exchange(
            request.method,
            request.path.encode(),
            Headers(()),
            peer,
            "",
            time.perf_counter(),
            webhook.client(peer, request.headers),
        )

    @app.post("/webhooks/clevertap/<slug>")
    def receive(slug: str) -> Response:
        admitted = webhook.admit(slug, request.headers, g.exchange.client)
        if admitted is NOT_FOUND:
            raise NotFound
        g.exchange.source = slug
        if isinstance(admitted, Answer):
            return response(admitted)
        # One more than that, since Werkzeug cuts a chunked body off at its limit and says nothing.
        request.max_content_length = webhook.most_bytes + 1
        body = request.get_data(cache=False)
        if len(body) > webhook.most_bytes:
            raise RequestEntityTooLarge
        receipt = keep(admitted.source, body)
        g.exchange.outcome = outcome(receipt)
        return response(acknowledgement(receipt))

    def keep(source: Source, body: bytes) -> Receipt:
        intake = webhook.intake
        entries = intake.prepare(source, body, webhook.now())
        try:
            fresh = intake.submit(entries).result(STORE_SECONDS) if entries else []
        except FutureTimeoutError as error:
            message = f"no commit within {STORE_SECONDS:g} s"
            raise StoreError(message) from error
        return intake.receipt(source, entries, fresh)

    answer_with_problems(app)

    @app.after_request
    def note(told: Response) -> Response:
        webhook.note(g.exchange, Answer(told.status_code, b"", ()))
        return told

    return app
