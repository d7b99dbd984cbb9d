"""Loads the configuration: reads a file and the environment, and builds one frozen `Config`.

`load` is a function of a path and a mapping; nothing is read at import. All problems are reported at once, each with
its place, the value given, and what would be right.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.config import file_permissions, secret_files, secret_strength, store_url, tls
from exporter.config.credentials import Credentials
from exporter.config.declarations import build_declaration, can_never_be_overdue
from exporter.config.environment import Overlay, overlay_environment
from exporter.config.landings import LandingBuilder
from exporter.config.places import Places
from exporter.config.secret_strength import Secret
from exporter.config.settings import SourceSettings
from exporter.config.validation import Validator, ValidSettings
from exporter.config.variables import DEFAULT_SOURCE, FILE_VARIABLES
from exporter.domain import event_time
from exporter.domain.errors import ConfigurationError
from exporter.domain.exports import Source
from exporter.domain.landing import Landings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

    from exporter.config.environment import Override
    from exporter.config.places import SettingPath
    from exporter.config.settings import BasicSettings, Limits, Log
    from exporter.config.values import Address
    from exporter.domain.exports import Declaration


@dataclass(frozen=True, slots=True)
class ConfiguredSource:
    """A source and the credentials that its webhook accepts."""

    source: Source
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, validated.

    Attributes:
        path: the configuration file; None if there is none.
        trusted_hops: how many reverse proxies in front of the webhook are trusted to name the client's address.
        keep_alive: how long a connection to the webhook listener may wait for its next request, in seconds.
        tls: the TLS context of the webhook listener; None for plain HTTP.
        tls_expires_at: when its certificate, or one of the chain, expires; 0 for plain HTTP.
        retention: how long events are kept at least, in seconds.
        quarantine_retention: how long quarantined and refused bodies are kept at least, in seconds.
        backup_max_age: how old the newest backup may become, in seconds; 0 for any age.
        allow_open_store_folder: whether every user may be able to write to the folder of a SQLite store.
        sources: the sources by slug.
        exports: the declared exports, in the order of the file.
        landings: where the files of exports land.
        overrides: the settings of the file that environment variables override.
        ignored_variables: environment variables that Kubernetes made for services.
    """

    path: Path | None
    webhook_listen: Address
    admin_listen: Address
    admin_credentials: Credentials
    trusted_hops: int
    keep_alive: int
    tls: ssl.SSLContext | None
    tls_expires_at: float
    store_url: str = field(repr=False)
    retention: int
    quarantine_retention: int
    backup_max_age: int
    allow_open_store_folder: bool
    limits: Limits
    log: Log
    sources: Mapping[str, ConfiguredSource]
    exports: tuple[Declaration, ...]
    landings: Landings = field(default_factory=Landings)
    overrides: tuple[Override, ...] = ()
    ignored_variables: tuple[str, ...] = ()

    @property
    def shown_store_url(self) -> str:
        """``store_url`` without its password."""
        return store_url.without_password(self.store_url)

    @property
    def sources_without_credentials(self) -> dict[str, Source]:
        """The sources without their credentials, by slug."""
        return {slug: configured.source for slug, configured in self.sources.items()}


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Load the configuration.

    Args:
        path: the TOML file; None for the defaults and the environment alone.
        environment: all environment variables; those that start with ``DATAEXPORT_`` are settings.

    Raises:
        ConfigurationError: lists every problem of the configuration.
    """
    problems: list[str] = []
    file_tables = _read_file(path) if path else {}
    overlay = overlay_environment(file_tables, environment, problems)
    places = Places(str(path) if path else "environment", overlay.origins)
    settings = Validator(places, problems, overlay.wrong).validate(overlay.tables)
    builder = _ConfigBuilder(settings, path, places, problems)
    config = builder.build(overlay)
    variables = [f"{name}_FILE" for name in sorted(FILE_VARIABLES)]
    variable_files = {name: Path(environment[name]) for name in variables if name in environment}
    files = list(secret_files.secret_files(settings, places, builder.folder, variable_files))
    files += secret_files.file_with_secrets(path, file_tables)
    problems += file_permissions.writable_by_all(files)
    if not settings.server.allow_readable_secrets and not settings.is_wrong("server", "allow_readable_secrets"):
        problems += file_permissions.readable_by_all(files)
    if problems:
        raise ConfigurationError(problems)
    return config


def admin_address(path: Path | None, environment: Mapping[str, str]) -> Address:
    """Return the address of the admin listener, whatever else is wrong with the configuration.

    Raises:
        ConfigurationError: the file cannot be read, or the address is wrong.
    """
    problems: list[str] = []
    overlay = overlay_environment(_read_file(path) if path else {}, environment, [])
    places = Places(str(path) if path else "environment", overlay.origins)
    server = {"server": overlay.tables["server"]} if "server" in overlay.tables else {}
    settings = Validator(places, problems, overlay.wrong).validate(server)
    if settings.is_wrong("server", "admin_listen"):
        raise ConfigurationError(problems)
    return settings.server.admin_listen


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError([file_permissions.unreadable(path, error, "an existing file")]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: is not UTF-8; save it as UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line \d+, column \d+", str(error))
        place = at[0] if at else "its end"
        advice = "sections and lists need [ ], texts need quotation marks, and a name may occur only once"
        raise ConfigurationError([f"{path}: is not TOML at {place}: {advice}"]) from error


class _ConfigBuilder:
    """Builds a `Config` from validated settings, and collects the problems that concern several settings or files.

    Args:
        settings: the settings.
        path: the configuration file.
        places: name the settings in problems.
        problems: the list to which problems are added.

    Attributes:
        folder: the folder that names of files are relative to.
    """

    def __init__(self, settings: ValidSettings, path: Path | None, places: Places, problems: list[str]) -> None:
        self._settings = settings
        self._path = path
        self.folder = path.parent if path else Path()
        self._places = places
        self._problems = problems
        self._secrets: list[Secret] = []

    def build(self, overlay: Overlay) -> Config:
        settings, server = self._settings, self._settings.server
        admin_credentials = self._credentials(
            server.admin_tokens, server.admin_tokens_file, server.admin_basic, table=("server",), prefix="admin_"
        )
        sources = self._sources()
        self._problems += secret_strength.problems(self._secrets)
        self._check_listeners()
        limits = settings.limits
        if limits.total_request_bytes < limits.request_bytes:
            request_bytes = self._places.name("limits", "request_bytes")
            self._add(
                ("limits", "total_request_bytes"),
                f"{limits.total_request_bytes} is less than {request_bytes}, {limits.request_bytes}; "
                "give at least as much, so that one request fits",
                ("limits", "total_request_bytes"),
                ("limits", "request_bytes"),
            )
        return Config(
            path=self._path,
            webhook_listen=server.webhook_listen,
            admin_listen=server.admin_listen,
            admin_credentials=admin_credentials,
            trusted_hops=server.trusted_hops,
            keep_alive=server.keep_alive,
            tls=(context := self._tls()),
            tls_expires_at=self._tls_expires_at() if context else 0,
            store_url=self._store_url(),
            retention=settings.store.retention,
            quarantine_retention=settings.store.quarantine_retention,
            backup_max_age=settings.store.backup_max_age or 0,
            allow_open_store_folder=settings.store.allow_open_folder,
            limits=settings.limits,
            log=settings.log,
            sources=sources,
            exports=tuple(self._declarations(sources)),
            landings=LandingBuilder(settings, self.folder, self._add).build(),
            overrides=tuple(overlay.overrides),
            ignored_variables=tuple(overlay.ignored),
        )

    def _add(self, path: SettingPath, text: str, *reasons: SettingPath) -> None:
        """Add a problem of a setting, unless it only follows from a wrong one of ``reasons``, or of ``path``."""
        if not any(self._settings.is_wrong(*reason) for reason in reasons or (path,)):
            self._problems.append(f"{self._places.at(*path)}: {text}")

    def _check_listeners(self) -> None:
        server = self._settings.server
        admin_listen = ("server", "admin_listen")
        wants_credential = server.admin_tokens or server.admin_tokens_file or server.admin_basic
        if not (server.admin_listen.is_loopback or wants_credential or server.admin_open):
            names = ("admin_listen", "admin_tokens", "admin_tokens_file", "admin_basic", "admin_open")
            self._add(
                admin_listen,
                f"{server.admin_listen} is not loopback, and nobody needs a "
                "credential there; set server.admin_tokens_file, admin_tokens or admin_basic (or "
                "DATAEXPORT_ADMIN_TOKENS), or server.admin_open = true (or DATAEXPORT_ADMIN_OPEN) if all who reach it "
                "may see everything and reload",
                *(("server", name) for name in names),
            )
        if server.webhook_listen == server.admin_listen:
            self._add(
                admin_listen,
                f"{server.admin_listen} is the address of {self._places.name('server', 'webhook_listen')} as well; "
                "give each its own port",
                admin_listen,
                ("server", "webhook_listen"),
            )

    def _store_url(self) -> str:
        """Return the URL with an absolute path: a relative one is in the folder of the file that has it."""
        store = self._settings.store
        is_in_file = "url" in store.model_fields_set and not self._places.variable("store", "url")
        return store_url.absolute(store.url.get_secret_value(), self.folder if is_in_file else Path())

    def _sources(self) -> dict[str, ConfiguredSource]:
        sources: dict[str, ConfiguredSource] = {}
        webhook_listen = self._settings.server.webhook_listen
        tables = self._settings.sources
        if not tables and not self._settings.is_wrong("sources"):
            tables = {0: SourceSettings(slug=DEFAULT_SOURCE)}
        for index, table in tables.items():
            path = ("sources", index)
            if table.slug in sources:
                self._add((*path, "slug"), f"duplicate slug {table.slug!r}; give every source its own")
            credentials = self._credentials(table.tokens, table.tokens_file, table.basic, table.header, table=path)
            if not (credentials.are_required or table.tokens_file or table.basic) and not webhook_listen.is_loopback:
                self._add(
                    path,
                    f"source {table.slug!r} has no credential, and "
                    f"{self._places.name('server', 'webhook_listen')} is {webhook_listen}, which is not loopback; "
                    "set tokens_file, tokens or basic"
                    + (" (or DATAEXPORT_TOKENS)" if table.slug == DEFAULT_SOURCE else ""),
                    ("server", "webhook_listen"),
                    *((*path, name) for name in ("tokens", "tokens_file", "basic")),
                )
            zone = event_time.load_zone(table.timezone)
            source = Source(table.slug, table.timezone, zone, table.vendor, table.severity)
            sources[table.slug] = ConfiguredSource(source, credentials)
        return sources

    def _credentials(  # noqa: PLR0913 - the settings of a credential, and where they are
        self,
        tokens: list[SecretStr],
        files: list[str],
        basic: BasicSettings | None,
        header: str = "",
        *,
        table: SettingPath,
        prefix: str = "",
    ) -> Credentials:
        door = self._places.name(*table)
        texts = [((*table, f"{prefix}tokens"), token.get_secret_value()) for token in tokens]
        for name in files:
            path = (*table, f"{prefix}tokens_file")
            try:
                texts += [(path, token) for token in secret_files.read_tokens(self.folder / name)]
            except ValueError as error:
                self._add(path, str(error))
        passwords = []
        if basic is not None:
            path = (*table, f"{prefix}basic")
            if basic.password:
                passwords.append((path, basic.password.get_secret_value()))
            if basic.password_file is not None:
                try:
                    passwords.append((path, secret_files.read_password(self.folder / basic.password_file)))
                except ValueError as error:
                    self._add((*path, "password_file"), str(error))
            elif not passwords:
                self._add(path, "has no password; set password_file or password")
        for path, text in (*texts, *passwords):
            self._secrets.append(Secret(door, self._places.name(*path), self._places.at(*path), text))
        pairs = [(basic.username, password) for _, password in passwords] if basic is not None else []
        return Credentials(tuple(token for _, token in texts), header, tuple(pairs))

    def _tls(self) -> ssl.SSLContext | None:
        server = self._settings.server
        certificate, key = server.tls_certificate_file, server.tls_key_file
        certificate_path, key_path = ("server", "tls_certificate_file"), ("server", "tls_key_file")
        if certificate is None or key is None:
            if certificate != key:
                given, missing = (key_path, certificate_path)[:: -1 if key is None else 1]
                self._add(given, f"requires {missing[0]}.{missing[1]}, which is missing", given, missing)
            return None
        try:
            return tls.load(self.folder / certificate, self.folder / key)
        except ValueError as error:
            at = f"{self._places.at(*certificate_path)}, {self._places.name(*key_path)}"
            self._problems.append(f"{at}: {error}")
            return None

    def _tls_expires_at(self) -> float:
        certificate = self.folder / str(self._settings.server.tls_certificate_file)
        return tls.expiry(certificate.read_text("latin-1"))

    def _declarations(self, sources: Mapping[str, ConfiguredSource]) -> Iterable[Declaration]:
        seen: set[tuple[str, str]] = set()
        slugs = ", ".join(sorted(sources))
        for index, table in self._settings.exports.items():
            path = ("exports", index)
            if table.source not in sources and self._settings.knows_slugs:
                self._add((*path, "source"), f"{table.source!r} is not a source; the sources are {slugs}")
            if (table.source, table.name) in seen:
                self._add(
                    (*path, "name"), f"duplicate name {table.name!r} in source {table.source!r}; give another name"
                )
            seen.add((table.source, table.name))
            if not table.match.model_dump(exclude_none=True):
                self._add((*path, "match"), "is empty; give at least one of request_id, partner, data_type, frequency")
            source = sources[table.source].source if table.source in sources else Source(table.source)
            declaration = build_declaration(table, source)
            if can_never_be_overdue(declaration):
                frequency_given = table.match.frequency
                none = "" if frequency_given is None else f', and match.frequency "{frequency_given}" gives none'
                self._add(
                    (*path, "interval"),
                    f"is missing{none}, so that the export could never be overdue; "
                    'say interval = "24h", or match.frequency = "one-time" if it has no schedule',
                    (*path, "interval"),
                    (*path, "match"),
                    (*path, "match", "frequency"),
                    (*path, "match", "request_id"),
                )
            yield declaration
