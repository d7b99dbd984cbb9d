"""Prints what Alertmanager sends to the placeholders of alerts/alertmanager.yaml, as a chat would show it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Accepts any POST."""

    def do_POST(self) -> None:
        """Print the title and the text of a notification."""
        notification = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for attachment in notification.get("attachments", []):
            print(f"{self.path.removeprefix('/chat/').upper()} {attachment['title']}\n{attachment['text'].strip()}\n")
        self.send_response_only(200)
        self.end_headers()
        self.wfile.write(b"ok")  # as Slack answers


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", 10049), Receiver).serve_forever()
