"""The style sheet, the script and the icons of the pages, served from memory by the admin listener itself."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib import resources

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

FOLDER = resources.files("exporter.server.admin.pages") / "static"
LONG_TIME = "private, max-age=31536000, immutable"
"""How long a browser keeps a file: its address changes with its content."""


def create_blueprint() -> Blueprint:
    """Create the blueprint of ``/static/<name>``, and the template function ``static_url``, relative to ``root``."""
    blueprint = Blueprint("static_files", __name__)
    files = {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.is_file()}
    versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in files.items()}

    @blueprint.app_template_global()
    def static_url(name: str) -> str:
        return f"static/{name}?v={versions[name]}"

    @blueprint.get("/static/<name>")
    def static_file(name: str) -> Response:
        if name not in files:
            raise NotFound
        content_type, _ = mimetypes.guess_type(name)
        return Response(files[name], content_type=content_type, headers={"Cache-Control": LONG_TIME})

    return blueprint
