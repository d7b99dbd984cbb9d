"""Whatever is given as a configuration is taken or refused in words, and none of them is a secret."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configurations import loaded
from exporter.config.loader import load
from exporter.config.settings import Section
from exporter.config.variables import VARIABLES
from exporter.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-secret-of-some-length"


@pytest.mark.parametrize(
    ("toml", "environment"),
    [
        (f'[server]\nadmin_tokens = ["{CANARY}"]\nwebhook_listen = "x"\n', {}),
        (f'[server]\nadmin_tokens = "{CANARY}"\n', {}),
        (f'[[sources]]\nslug = "a"\ntokens = "{CANARY}"\n', {}),
        (f'[[sources]]\nslug = "a"\ntokens = [["{CANARY}"]]\n', {}),
        (f'[[sources]]\nslug = "a"\nbasic = {{ username = "", password = ["{CANARY}"] }}\n', {}),
        (f'[[sources]]\nslug = "a"\nbasic = {{ password = "{CANARY}" }}\n', {}),
        (f'[[sources]]\nslug = "a"\nbasic = "{CANARY}"\n', {}),
        (f'[[sources]]\nslug = "A"\nunknown = "{CANARY}"\n', {}),
        (f'sources = "{CANARY}"\n', {}),
        (f'[sources]\nslug = "a"\ntokens = ["{CANARY}"]\n', {}),
        ("", {"DATAEXPORT_ADMIN_BASIC": json.dumps({"username": "a", "pass": CANARY})}),
        ("", {"DATAEXPORT_ADMIN_BASIC": f'"{CANARY}"'}),
        ("", {"DATAEXPORT_ADMIN_BASIC": CANARY}),
        ("", {"DATAEXPORT_SOURCES": json.dumps([{"tokens": [CANARY]}])}),
        ("", {"DATAEXPORT_SOURCES": json.dumps({"tokens": [CANARY]})}),
        ("", {"DATAEXPORT_SOURCES": json.dumps([CANARY])}),
        ("", {"DATAEXPORT_STORE_URL": f"postgresql://u:{CANARY}@h/d"}),
        (f'[store]\nurl = ["{CANARY}"]\n', {}),
        (f'[[sources]]\nslug = "a"\nlanding = {{ url = "s3://{CANARY}@b", secret_access_key = "{CANARY}" }}\n', {}),
        (f'[[sources]]\nslug = "a"\nlanding = {{ url = "az://b1x", account_key = ["{CANARY}"] }}\n', {}),
        (f'[[sources]]\nslug = "a"\nlanding = "{CANARY}"\n', {}),
        (f'tokens = ["{CANARY}"]\n', {}),
        (f'[[sources]]\nslug = {{ tokens = ["{CANARY}"] }}\n', {}),
        (f'server = [{{ admin_tokens = ["{CANARY}"] }}]\n', {}),
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, toml: str, environment: dict[str, str]) -> None:
    path = tmp_path / "dataexport.toml"
    path.write_text(toml, "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load(path, environment)
    assert CANARY not in str(refused.value)


def as_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(each)}" for key, each in value.items()) + "}"
    return f"[{', '.join(map(as_toml, value))}]" if isinstance(value, list) else json.dumps(value)


names = st.sampled_from([name for section in Section.__subclasses__() for name in section.model_fields] + ["unknown"])
values = st.recursive(
    st.sampled_from(["", CANARY, "default", "24h", 0, -1, 7, 1.5, True, "127.0.0.1:1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
)


@given(tables=st.dictionaries(names, values), variables=st.dictionaries(st.sampled_from(sorted(VARIABLES)), values))
def test_whatever_shape_it_has_it_is_taken_or_refused_in_words(
    tmp_path: Path, tables: dict[str, object], variables: dict[str, object]
) -> None:
    environment = {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}
    said: tuple[str, ...] = ()
    try:
        loaded(tmp_path, "\n".join(f"{key} = {as_toml(value)}" for key, value in tables.items()), environment)
    except ConfigurationError as refused:
        said = refused.problems
    assert all(re.match(r"(environment|.*\.toml): ", problem) for problem in said)


def test_no_representation_shows_a_secret(tmp_path: Path) -> None:
    toml = f"""
    [server]
    admin_tokens = ["{CANARY}-admin"]
    admin_basic = {{ username = "a", password = "{CANARY}-admin" }}
    [store]
    url = "sqlite:///{CANARY}"
    [[sources]]
    slug = "a"
    tokens = ["{CANARY}"]
    basic = {{ username = "a", password = "{CANARY}" }}
    """
    config = loaded(tmp_path, toml)
    assert CANARY not in repr(config)
    assert CANARY not in str(config.sources)
