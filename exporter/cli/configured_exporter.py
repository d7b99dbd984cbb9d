"""The exporter that a configuration describes, as a command on the same machine reaches it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.cli.http_client import Credential
from exporter.config.variables import DEFAULT_SOURCE
from exporter.domain.errors import ExporterError
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.config.credentials import Credentials
    from exporter.config.loader import Config


class ConfiguredExporter:
    """An exporter on this machine.

    Args:
        config: its configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def webhook_url(self) -> str:
        """Return the webhook of the only source, or of the one that is called default.

        Raises:
            ExporterError: there are several, and none has that name.
        """
        sources = self._config.sources
        if DEFAULT_SOURCE not in sources and len(sources) > 1:
            message = f"--url: give the webhook of one source; the sources are {', '.join(sorted(sources))}"
            raise ExporterError(message)
        source = sources[DEFAULT_SOURCE if DEFAULT_SOURCE in sources else next(iter(sources))].source
        path = registry.webhook_path(registry.adapter_of(source).name, source.slug)
        scheme = "https" if self._config.tls else "http"
        return f"{scheme}://{self._config.webhook_listen.from_here}{path}"

    def source_headers(self, slug: str) -> dict[str, str]:
        """Return the header with a credential of a source; none if it is not configured, or needs none."""
        source = self._config.sources.get(slug)
        return _headers(source.credentials) if source else {}

    def admin_url(self) -> str:
        """Return the URL of the admin listener."""
        return f"http://{self._config.admin_listen.from_here}"

    def admin_headers(self) -> dict[str, str]:
        """Return the header with a credential of the admin listener; none if it needs none."""
        return _headers(self._config.admin_credentials)


def load_configured_exporter(path: Path | None) -> ConfiguredExporter:
    """Return the exporter that a configuration file and the environment describe.

    Raises:
        ConfigurationError: the configuration is invalid.
    """
    from exporter.config import loader  # noqa: PLC0415 - with pydantic, which takes longer than all else of `send`

    return ConfiguredExporter(loader.load(path, os.environ))


def is_on_this_machine(url: str) -> bool:
    """Whether a URL leads to loopback, so that a token of the configuration may be sent there.

    Raises:
        ExporterError: it is not a URL.
    """
    try:
        return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
    except ValueError as error:
        path = registry.webhook_path(registry.DEFAULT, "shop")
        message = f"--url {url}: that is not a URL; give one such as http://127.0.0.1:8080{path}"
        raise ExporterError(message) from error


def _headers(credentials: Credentials) -> dict[str, str]:
    if credentials.tokens:
        return Credential("the configuration", header=credentials.header).headers_of(credentials.tokens[0])
    if credentials.basic:
        user, password = credentials.basic[0]
        return Credential("the configuration", user=user).headers_of(password)
    return {}
