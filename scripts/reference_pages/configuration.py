"""Writes docs/reference/configuration.md from `exporter.config.settings`."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BeforeValidator, SecretStr

from exporter.config import settings
from exporter.config.settings import (
    BasicSettings,
    ExportSettings,
    LandingSettings,
    Limits,
    Log,
    MatchSettings,
    Section,
    Server,
    SourceSettings,
    Store,
)
from exporter.config.values import Address, format_bound
from exporter.config.variables import FILE_VARIABLES, VARIABLES
from exporter.server.service import RESTART_SETTINGS
from reference_pages.markdown import code, document, table

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SECTIONS: tuple[tuple[str, str, type[Section]], ...] = (
    ("[server]", "server.", Server),
    ("[store]", "store.", Store),
    ("[limits]", "limits.", Limits),
    ("[log]", "log.", Log),
    ("[[sources]]", "sources.", SourceSettings),
    ("[[exports]]", "exports.", ExportSettings),
)
TABLES: tuple[tuple[str, type[Section]], ...] = (
    ("match", MatchSettings),
    ("landing", LandingSettings),
    ("basic", BasicSettings),
)
LISTS = ("sources", "exports")

ONLY_AT_START = frozenset({"store.allow_open_folder"})
"""Settings that only the start uses, in addition to those of `RESTART_SETTINGS`."""

INTRODUCTION = """\
`dataexport-exporter serve --config FILE`, or the variable `DATAEXPORT_CONFIG=FILE`, reads a TOML file. Every setting \
has a default, so the file is optional. Most settings also have an environment variable, which overrides the file.

```toml
[[sources]]
slug = "shop-in1"                  # POST /webhooks/clevertap/shop-in1
timezone = "Asia/Kolkata"
tokens_file = ["secrets/shop"]

[[exports]]                        # optional: an export you expect, alerted on even if no event ever arrives
name = "nightly-s3"
source = "shop-in1"
match = { partner = "Amazon S3", data_type = "events", frequency = "24h" }
grace = "2h"
owner = "data-platform"
runbook_url = "https://wiki.example/nightly-s3"
```

- **Durations** are text: `"90m"`, `"1h30m"`, `"2 hours"`, `"7d"`. A number without a unit is in seconds.
- **Variables** for lists of tables (`DATAEXPORT_SOURCES`, `DATAEXPORT_EXPORTS`) and for `DATAEXPORT_ADMIN_BASIC` \
contain JSON. A variable for tokens contains one token, or several separated by commas or line breaks.
- **`_FILE`**: if the table shows `NAME` and `NAME_FILE`, set `NAME_FILE` to a file to read the value from.
- **Check** a file with `dataexport-exporter check-config FILE`: it reports the problems, and which variables override \
the file.
- **Reload** with SIGHUP or `POST /-/reload`. If the new file is invalid, the running configuration is kept. A setting \
marked *restart* is only read at the start; a reload logs that it changed."""

OTHER_VARIABLES = """\
## Other variables

| variable | meaning |
|---|---|
| `DATAEXPORT_CONFIG` | The configuration file, for every command. `--config` overrides it. |
| `DATAEXPORT_DEFAULT_HOST` | The host of listeners without a configured address. The container image sets it to \
`0.0.0.0`. |
| `DATAEXPORT_REVISION` | The source revision, shown in `dataexport_build_info`. The build of the image sets it. |

Any other variable that starts with `DATAEXPORT_` is an error, except those that Kubernetes creates for a service \
named `dataexport…` (`DATAEXPORT_PORT=tcp://…`): they are ignored."""


def page() -> str:
    """Return the text of the page."""
    docs = docstrings()
    blocks = [INTRODUCTION]
    for heading, prefix, section in SECTIONS:
        blocks.append(f"## `{heading}`")
        name = prefix.removesuffix(".")
        if name in LISTS:
            meaning, default = split_default(docs["Settings", name])
            blocks.append(f"{meaning} Variable: {variable_text(name)}. Default: {default}.")
        blocks.append(_table(section, prefix, docs))
    for name, section in TABLES:
        blocks.append(f"## `{name}`")
        blocks.append(_table(section, f"{name}.", docs))
    return document("Configuration", *blocks, OTHER_VARIABLES)


def _table(section: type[Section], prefix: str, docs: dict[tuple[str, str], str]) -> str:
    is_nested = prefix.removesuffix(".") in dict(TABLES)
    rows = []
    for name, field in section.model_fields.items():
        meaning, default = split_default(docs[section.__name__, name])
        row = [code(prefix + name), accepted_values(field), default or default_text(name, field)]
        if not is_nested:
            row += [variable_text(prefix + name), when_applied(prefix + name)]
        rows.append([*row, meaning])
    heads = ["setting", "value", "default", *([] if is_nested else ["variable", "applied by"]), "meaning"]
    return table(heads, rows)


def docstrings() -> dict[tuple[str, str], str]:
    """Return the docstring of every setting, by its class and name."""
    tree = ast.parse(inspect.getsource(settings))
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement, following in zip(node.body, node.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                match following:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[node.name, statement.target.id] = " ".join(text.split())
    return found


def split_default(text: str) -> tuple[str, str]:
    """Split "Default: …" off the end of a text."""
    meaning, _, default = text.partition(" Default: ")
    return meaning, default.removesuffix(".")


def accepted_values(field: FieldInfo) -> str:
    """Return what a setting accepts, in the words of its own error message."""
    if BasicSettings in _parts(field):
        return "a table; see [`basic`](#basic)"
    if MatchSettings in _parts(field):
        return "a table; see [`match`](#match)"
    if LandingSettings in _parts(field):
        return "a table; see [`landing`](#landing)"
    [parse] = {validator.func for validator in _validators(field)}
    for wrong in (-1, object()):
        try:
            parse(wrong)  # type: ignore[call-arg] # none of them takes a second argument
        except ValueError as error:
            advice = str(error).rpartition("; ")[2] if str(error).startswith("no ") else str(error)
            return advice.removeprefix("give ").replace("a duration of at", "duration, at")
    message = f"{field} accepts everything"
    raise AssertionError(message)


def _parts(annotation: object) -> list[object]:
    """Return an annotation and everything it consists of."""
    if hasattr(annotation, "metadata"):  # a field: its own metadata, and its annotation
        return [*annotation.metadata, *_parts(annotation.annotation)]  # type: ignore[attr-defined] # as FieldInfo has
    return [annotation, *(part for argument in get_args(annotation) for part in _parts(argument))]


def _validators(field: FieldInfo) -> list[BeforeValidator]:
    return [part for part in _parts(field) if isinstance(part, BeforeValidator)]


def default_text(name: str, field: FieldInfo) -> str:
    """Return the default of a setting as the file would have it."""
    default: Any = field.default
    if field.is_required():
        return "required"
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, Address):
        default = str(default)
    if isinstance(default, bool):
        return code(str(default).lower())
    if isinstance(default, int) and name in {"keep_alive", "retention", "quarantine_retention", "within", "timeout"}:
        default = format_bound(default)
    return code(f'"{default}"' if isinstance(default, str) else str(default))


def variable_text(setting: str) -> str:
    """Return the variables of a setting."""
    names = [name for name, overridden in VARIABLES.items() if overridden == setting]
    text = ", ".join(code(name) + (f", {code(f'{name}_FILE')}" if name in FILE_VARIABLES else "") for name in names)
    return f"{text} (of the source `default`)" if setting == "sources.tokens" else text


def when_applied(setting: str) -> str:
    """Return whether a reload applies a setting, or only a restart."""
    section, _, name = setting.partition(".")
    at_start = {name, f"{section}_{name}", section}.intersection(RESTART_SETTINGS) or setting in ONLY_AT_START
    return "restart" if at_start else "reload"
