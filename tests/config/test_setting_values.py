"""The values of single settings: addresses, durations, names, slugs and objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from configurations import loaded, problems
from exporter.config.loader import load
from exporter.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("listen", ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "localhost:80"])
def test_loopback_needs_no_credential(listen: str) -> None:
    assert str(load(None, {"DATAEXPORT_WEBHOOK_LISTEN": listen}).webhook_listen) == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[2001:db8::1]:80"])
def test_any_other_address_needs_one(listen: str) -> None:
    environment = {"DATAEXPORT_WEBHOOK_LISTEN": listen}
    with pytest.raises(ConfigurationError, match=r"which is not loopback; set tokens_file, tokens or basic"):
        load(None, environment)
    config = load(None, environment | {"DATAEXPORT_TOKENS": "a-secret-of-some-length"})
    assert str(config.webhook_listen) == listen


@pytest.mark.parametrize(
    "listen",
    ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "example.org:80", "::1"],
)
def test_what_is_no_address_and_port_is_refused(listen: str) -> None:
    with pytest.raises(ConfigurationError, match=r"DATAEXPORT_ADMIN_LISTEN: .*ADDRESS:PORT"):
        load(None, {"DATAEXPORT_ADMIN_LISTEN": listen})


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ('"90m"', 5400),
        ('"24h"', 86400),
        ('"7d"', 604800),
        ('"2w"', 1209600),
        ('"60s"', 60),
        ('"4 h"', 14400),
        ('"1h30m"', 5400),
        ('"2 hours"', 7200),
        ('"1 day 2 hrs 3 Minutes 4 secs"', 93784),
        ('"1w 1d"', 691200),
        ("3600", 3600),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_seconds(tmp_path: Path, given: str, seconds: int) -> None:
    toml = f'[[exports]]\nname = "a"\nmatch = {{ partner = "s3" }}\ninterval = {given}\n'
    assert loaded(tmp_path, toml).exports[0].interval == seconds


@pytest.mark.parametrize(
    "given", ['""', '"h"', '"1.5h"', '"-1h"', '"1h1h"', '"30m1h"', '" "', "true", "1.5", '"59s"', '"367d"']
)
def test_what_is_no_duration_is_refused(tmp_path: Path, given: str) -> None:
    toml = f'[[exports]]\nname = "a"\nmatch = {{ partner = "s3" }}\ninterval = {given}\n'
    (said,) = problems(tmp_path, toml)
    assert said.startswith("exports[1].interval: ")


@pytest.mark.parametrize("name", ["any", "other", "", "x" * 129, "two\\nlines"])
def test_a_name_that_could_not_be_a_label_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    (said,) = problems(tmp_path, f'[[exports]]\nname = "{name}"\nmatch = {{ request_id = 7 }}\n')
    assert said.startswith("exports[1].name: ")


@pytest.mark.parametrize("slug", ["", "Shop", "-shop", "shop-", "a_b", "x" * 64, "unknown", "a/b"])
def test_a_slug_that_could_not_be_in_a_path_is_refused(tmp_path: Path, slug: str) -> None:
    (said,) = problems(tmp_path, f'[[sources]]\nslug = "{slug}"\n')
    assert said.startswith("sources[1].slug: ")


def test_an_objective_is_a_share(tmp_path: Path) -> None:
    toml = '[[exports]]\nname = "a"\nmatch = { frequency = "24h" }\nobjective = 0.995\n'
    assert loaded(tmp_path, toml).exports[0].objective == 0.995
    said = problems(tmp_path, toml.replace("0.995", "99"))
    assert said == ["exports[1].objective: 99: give a number above 0 and below 1, such as 0.99"]
