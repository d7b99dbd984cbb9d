"""Builds where files land from the settings, with the secrets in files read."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

from exporter.config import secret_files
from exporter.domain import event_time
from exporter.domain.landing import Landing, Landings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.config.places import SettingPath
    from exporter.config.settings import LandingSettings
    from exporter.config.validation import ValidSettings

PACKAGE = "obstore"
"""The package that lists object stores, in the optional extra ``landing``."""

_S3 = ("region", "access_key_id", "secret_access_key", "secret_access_key_file")
_AZURE = ("account", "account_key", "account_key_file")
_GOOGLE = ("service_account_file",)
_ONLY_FOR = {"s3": _S3, "az": _AZURE, "gs": _GOOGLE}


class LandingBuilder:
    """Builds the landings of a configuration.

    Args:
        settings: the settings.
        folder: the folder that names of files are relative to.
        add_problem: adds a problem of a setting.
    """

    def __init__(self, settings: ValidSettings, folder: Path, add_problem: Callable[[SettingPath, str], None]) -> None:
        self._settings = settings
        self._folder = folder
        self._add = add_problem

    def build(self) -> Landings:
        """Build all of them."""
        zones = {source.slug: event_time.load_zone(source.timezone) for source in self._settings.sources.values()}
        by_source: dict[str, Landing] = {}
        by_export: dict[tuple[str, str], Landing] = {}
        for index, source in self._settings.sources.items():
            if source.landing:
                has_zone = zones[source.slug] is not None
                by_source[source.slug] = self._build(source.landing, ("sources", index), has_zone=has_zone)
        for index, export in self._settings.exports.items():
            if export.landing:
                has_zone = zones.get(export.source) is not None
                by_export[export.source, export.name] = self._build(
                    export.landing, ("exports", index), has_zone=has_zone
                )
        if (by_source or by_export) and importlib.util.find_spec(PACKAGE) is None:
            path = next(
                (name, index, "landing")
                for name, tables in (("sources", self._settings.sources), ("exports", self._settings.exports))
                for index, table in tables.items()
                if table.landing
            )
            self._add(path, "needs a package that is not installed; run: pip install 'dataexport-exporter[landing]'")
        return Landings(by_export, by_source)

    def _build(self, table: LandingSettings, owner: SettingPath, *, has_zone: bool) -> Landing:
        path = (*owner, "landing")
        scheme = table.url.partition(":")[0]
        for other, names in _ONLY_FOR.items():
            for name in names:
                if other != scheme and getattr(table, name) is not None:
                    self._add((*path, name), f"is for {other}:// only, and landing.url begins with {scheme}://")
        secret_key = self._secret(table, "secret_access_key", path)
        account_key = self._secret(table, "account_key", path)
        if (table.access_key_id is None) != (secret_key is None) and scheme == "s3":
            given, missing = ("access_key_id", "secret_access_key_file")[:: 1 if secret_key is None else -1]
            self._add((*path, given), f"requires landing.{missing}, which is missing")
        file = table.service_account_file
        if file is not None:
            try:
                secret_files.read_text(self._folder / file)
            except ValueError as error:
                self._add((*path, "service_account_file"), str(error))
        landing = Landing(
            table.url,
            table.min_objects,
            table.min_bytes,
            table.within,
            table.timeout,
            table.max_objects,
            _pairs(
                region=table.region,
                endpoint=table.endpoint,
                access_key_id=table.access_key_id,
                account=table.account,
                service_account_file=str(self._folder / file) if file is not None else None,
                anonymous="true" if table.anonymous else None,
            ),
            _pairs(secret_access_key=secret_key, account_key=account_key),
        )
        if "date" in landing.placeholders and not has_zone:
            self._add(
                (*path, "url"),
                'has {date}, and the source has timezone = "auto"; set the time zone of the source, such as '
                '"Asia/Kolkata", so that it is known when a day begins',
            )
        return landing

    def _secret(self, table: LandingSettings, name: str, path: SettingPath) -> str | None:
        value, file = getattr(table, name), getattr(table, f"{name}_file")
        if file is None:
            return None if value is None else str(value.get_secret_value())
        try:
            return secret_files.read_password(self._folder / file)
        except ValueError as error:
            self._add((*path, f"{name}_file"), re.sub("the password", "the key", str(error)))
            return None


def _pairs(**values: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values.items() if value is not None)
