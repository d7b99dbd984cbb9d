"""Validates the tables of a configuration: every problem at once, and what is right in spite of them.

A problem of one setting does not hide those of others: a table is validated again without its wrong
settings, so that what concerns several settings can be checked as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from exporter.config.places import format_value
from exporter.config.settings import ExportSettings, Limits, Log, Section, Server, Settings, SourceSettings, Store
from exporter.domain.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from exporter.config.places import Places, SettingPath

_SECRETS = frozenset(
    {"tokens", "tokens_file", "admin_tokens", "admin_tokens_file", "basic", "admin_basic", "url", "sources"}
    | {"access_key_id", "secret_access_key", "secret_access_key_file", "account_key", "account_key_file"}
    | {"service_account_file", "endpoint"}
)
"""The settings that may contain secrets, or into which one is pasted by mistake."""

SectionType = TypeVar("SectionType", bound=Section)


@dataclass
class ValidSettings:
    """What is right of a configuration.

    Attributes:
        server, store, limits, log: a setting that is wrong has its default.
        sources, exports: those that could be built, by their index in the list.
        wrong: the paths of the settings that are wrong.
    """

    server: Server = field(default_factory=Server)
    store: Store = field(default_factory=Store)
    limits: Limits = field(default_factory=Limits)
    log: Log = field(default_factory=Log)
    sources: dict[int, SourceSettings] = field(default_factory=dict)
    exports: dict[int, ExportSettings] = field(default_factory=dict)
    wrong: set[SettingPath] = field(default_factory=set)

    def is_wrong(self, *path: int | str) -> bool:
        """Whether a setting, a part of it, or a table around it is wrong, so that nothing follows from its value."""
        return any(wrong[: len(path)] == path[: len(wrong)] for wrong in self.wrong)

    @property
    def knows_slugs(self) -> bool:
        """Whether the slug of every source is right."""
        return not any(wrong[0] == "sources" and wrong[2:] in {(), ("slug",)} for wrong in self.wrong)


class Validator:
    """Validates tables, and collects their problems.

    Args:
        places: name the settings in problems.
        problems: the list to which problems are added.
        wrong: the paths of settings that are known to be wrong; further ones are added.
    """

    def __init__(self, places: Places, problems: list[str], wrong: set[SettingPath]) -> None:
        self._places = places
        self._problems = problems
        self._wrong = wrong

    def validate(self, tables: Mapping[str, Any]) -> ValidSettings:
        """Validate all tables of a configuration."""
        for name in tables.keys() - Settings.model_fields.keys():
            self._add_unknown((name,), Settings)
        return ValidSettings(
            server=self._table(Server, tables, "server"),
            store=self._table(Store, tables, "store"),
            limits=self._table(Limits, tables, "limits"),
            log=self._table(Log, tables, "log"),
            sources=self._list(SourceSettings, tables, "sources"),
            exports=self._list(ExportSettings, tables, "exports"),
            wrong=self._wrong,
        )

    def _table(self, section: type[SectionType], tables: Mapping[str, Any], name: str) -> SectionType:
        table = tables.get(name, {})
        if isinstance(table, list):
            self._add((name,), f"is a list of tables; write [{name}], with single brackets")
            return section()
        return self._section(section, table, (name,)) or section()

    def _list(self, section: type[SectionType], tables: Mapping[str, Any], name: str) -> dict[int, SectionType]:
        items = tables.get(name, [])
        if not isinstance(items, list):
            if self._places.variable(name):
                self._add((name,), "give a JSON list of tables: [{…}, {…}]")
            else:
                found = "is one table" if isinstance(items, dict) else "is not a list of tables"
                self._add((name,), f"{found}; write [[{name}]], with two brackets, before each of them")
            # Its only table, to find what else is wrong.
            items = [items] if isinstance(items, dict) and items.keys() & section.model_fields.keys() else []
        sections = {index: self._section(section, item, (name, index)) for index, item in enumerate(items)}
        return {index: built for index, built in sections.items() if built is not None}

    def _section(self, section: type[SectionType], table: object, path: SettingPath) -> SectionType | None:
        """Build a table without its wrong settings; None if one that it needs is missing or wrong."""
        try:
            return section.model_validate(table)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        for details in errors:
            self._add_error(section, details, table, path)
        if not isinstance(table, dict):
            return None
        try:
            return section.model_validate(_without(table, [details["loc"] for details in errors]))
        except ValidationError:
            return None

    def _add_error(self, section: type[BaseModel], details: ErrorDetails, table: object, path: SettingPath) -> None:
        where = details["loc"]
        full_path = (*path, *where)
        if details["type"] == "extra_forbidden":
            self._add_unknown(full_path, _section_at(section, where[:-1]))
        elif details["type"] == "missing":
            self._add(full_path, "missing; it has to be given")
        elif "error" in details.get("ctx", {}):
            self._add_value(full_path, _value_at(table, where), str(details["ctx"]["error"]))
        else:
            self._add_value(full_path, _value_at(table, where), "give a table: { … }")

    def _add_unknown(self, path: SettingPath, section: type[BaseModel]) -> None:
        name = closest(str(path[-1]), list(section.model_fields))
        hint = f"; did you mean {name}?" if name else ""
        self._problems.append(f"{self._places.at(*path)}: unknown setting{hint}")
        if name:
            self._wrong.add((*path[:-1], name))  # nothing follows from its absence

    def _add_value(self, path: SettingPath, value: object, advice: str) -> None:
        # A value instead of a table or of a list of tables may be a secret, or contain one.
        is_secret = bool(_SECRETS.intersection(path[2:] if path[0] == "sources" else path))
        is_secret = is_secret or isinstance(value, dict | list) or isinstance(path[-1], int)
        is_secret = is_secret or path[-1] == "landing"  # whose table has keys
        self._add(path, advice if is_secret else f"{format_value(value)}: {advice}")

    def _add(self, path: SettingPath, text: str) -> None:
        self._problems.append(f"{self._places.at(*path)}: {text}")
        self._wrong.add(path)


def _without(table: dict[str, Any], wrong: list[tuple[int | str, ...]]) -> dict[str, Any]:
    """Copy a table without some settings of it and of its tables."""
    outer = {where[0] for where in wrong if len(where) == 1}
    return {
        name: _without(value, [where[1:] for where in wrong if len(where) > 1 and where[0] == name])
        if isinstance(value, dict)
        else value
        for name, value in table.items()
        if name not in outer
    }


def _section_at(section: type[BaseModel], where: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the section that the table at ``where`` within another one has to be."""
    for part in where:
        annotation = str(section.model_fields[str(part)].annotation)
        section = next(table for table in Section.__subclasses__() if table.__name__ in annotation)
    return section


def _value_at(table: object, where: tuple[int | str, ...]) -> object:
    value = table
    for part in where:
        value = value[part]  # type: ignore[index] # pydantic found the error there
    return value
