"""Opens the exporter that a command is about: a running one, or its store."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from exporter.cli.open_store import open_store
from exporter.cli.options import SERVER_URL, config_option
from exporter.config.variables import URL_TOKEN_FILE_VARIABLE, URL_USER_VARIABLE, URL_VARIABLE
from exporter.ledger.access import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.cli.exporter_access import ExporterAccess


class Place(NamedTuple):
    """Where an exporter is.

    Attributes:
        path: the configuration file that names the store.
        url: the admin listener to ask instead; empty for the store.
        token_file: the file with the token of the admin listener, or with the password of ``user``.
        user: the name for HTTP Basic; empty for a token.
    """

    path: Path | None
    url: str = ""
    token_file: Path | None = None
    user: str = ""


def exporter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --config, --url, --token-file and --user, which become the argument ``place``."""

    @functools.wraps(command)
    def with_place(
        path: Path | None,
        url: str | None,
        token_file: Path | None,
        user: str | None,
        **options: Any,  # noqa: ANN401 - click's
    ) -> None:
        context = click.get_current_context()
        given = {
            name
            for name in ("path", "url", "token_file", "user")
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
        if {"path", "url"} <= given:
            message = "give one of --config, for the store, and --url, for a running exporter"
            raise click.UsageError(message)
        if "path" in given:
            url = None
        for name in ("token_file", "user"):
            if name in given and not url:
                message = f"--{name.replace('_', '-')} goes with --url"
                raise click.UsageError(message)
        command(Place(path, url or "", token_file, user or ""), **options)

    with_place = click.option(
        "--user",
        envvar=URL_USER_VARIABLE,
        show_envvar=True,
        help="With --url: user name, if the admin listener has HTTP Basic; the file has the password.",
    )(with_place)

    with_place = click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        envvar=URL_TOKEN_FILE_VARIABLE,
        show_envvar=True,
        help="With --url: file with the admin listener's token, or the password of --user.",
    )(with_place)
    with_place = click.option(
        "--url",
        type=SERVER_URL,
        envvar=URL_VARIABLE,
        show_envvar=True,
        help="Admin listener of a running exporter to ask, instead of the store.",
    )(with_place)
    return config_option(with_place)


@contextmanager
def open_exporter(place: Place, access: Access = Access.READ) -> Iterator[ExporterAccess]:
    """Yield the exporter at a place.

    Raises:
        ExporterError: it does not answer, or the store cannot be used.
    """
    # Each way imports only what it needs: half a second, and for the store another half.
    if not place.url:
        with open_store(place.path, access) as (settings, projector, ledger):
            from exporter.cli.stored_exporter import StoredExporter  # noqa: PLC0415

            yield StoredExporter(settings, projector, ledger)
        return
    from exporter.cli.http_client import Credential  # noqa: PLC0415
    from exporter.cli.remote_exporter import RemoteExporter  # noqa: PLC0415

    exporter = RemoteExporter(place.url, Credential("--token-file", place.token_file, user=place.user))
    try:
        yield exporter
    except (LookupError, TypeError) as error:  # a document without what this release expects of it
        raise exporter.other_release() from error


def require_store(place: Place, option: str) -> None:
    """Refuse an option that works only on the store.

    Raises:
        UsageError: a running exporter is asked.
    """
    if place.url:
        message = f"{option} works on the store, beside the exporter, and not with --url ({place.url})"
        raise click.UsageError(message)
