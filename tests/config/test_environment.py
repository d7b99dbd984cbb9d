"""Settings as environment variables: they win over the file, and a wrong one is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import certificates
from configurations import loaded, problems
from exporter.config.loader import load
from exporter.config.variables import FILE_VARIABLES, VARIABLES, name_variables
from exporter.domain.errors import ConfigurationError
from monitoring import ROOT


def test_every_variable_wins_over_the_file(tmp_path: Path) -> None:
    toml = '[server]\nwebhook_listen = "127.0.0.1:1"\n[log]\nlevel = "debug"\n[[sources]]\nslug = "from-the-file"\n'
    certificate, key = certificates.make(tmp_path, "any")
    environment = {
        "DATAEXPORT_WEBHOOK_LISTEN": "127.0.0.1:2",
        "DATAEXPORT_ADMIN_LISTEN": "127.0.0.1:3",
        "DATAEXPORT_ADMIN_TOKENS": "the-first-admin-token, the-second-admin-token\nthe-third-admin-token,",
        "DATAEXPORT_ADMIN_BASIC": '{"username": "prometheus", "password": "a-long-password-of-24"}',
        "DATAEXPORT_ADMIN_OPEN": "true",
        "DATAEXPORT_TRUSTED_HOPS": "2",
        "DATAEXPORT_KEEP_ALIVE": "2m",
        "DATAEXPORT_ALLOW_READABLE_SECRETS": "true",
        "DATAEXPORT_TLS_CERTIFICATE_FILE": str(certificate),
        "DATAEXPORT_TLS_KEY_FILE": str(key),
        "DATAEXPORT_STORE_URL": "sqlite:////var/lib/other.db",
        "DATAEXPORT_ALLOW_OPEN_STORE_FOLDER": "true",
        "DATAEXPORT_STORE_RETENTION": "10d",
        "DATAEXPORT_STORE_QUARANTINE_RETENTION": "1h",
        "DATAEXPORT_STORE_BACKUP_MAX_AGE": "26h",
        "DATAEXPORT_EXPORTS_PER_SOURCE": "7",
        "DATAEXPORT_EVENTS_PER_MINUTE": "11",
        "DATAEXPORT_NEW_EXPORTS_PER_DAY": "12",
        "DATAEXPORT_TEST_CALLS_PER_MINUTE": "13",
        "DATAEXPORT_QUARANTINED_BYTES_PER_DAY": "14",
        "DATAEXPORT_EVENT_BYTES": "2048",
        "DATAEXPORT_REQUEST_BYTES": "4096",
        "DATAEXPORT_TOTAL_REQUEST_BYTES": "2097152",
        "DATAEXPORT_LOG_LEVEL": "error",
        "DATAEXPORT_LOG_FORMAT": "json",
        "DATAEXPORT_SOURCES": '[{"slug": "from-the-environment"}, {"slug": "default"}]',
        "DATAEXPORT_EXPORTS": '[{"name": "n", "match": {"request_id": 7}, "muted_until": "2026-12-01T00:00:00Z"}]',
        "DATAEXPORT_TOKENS": "the-first-token!,the-second-token",
    }
    assert set(environment) == set(VARIABLES)
    others = {"DATAEXPORT_CONFIG": "not read here", "DATAEXPORT_REVISION": "abc", "UNRELATED": "x"}
    config = loaded(tmp_path, toml, environment | others)
    assert (config.webhook_listen.port, config.admin_listen.port) == (2, 3)
    assert config.admin_credentials.tokens == (
        "the-first-admin-token",
        "the-second-admin-token",
        "the-third-admin-token",
    )
    assert config.admin_credentials.basic == (("prometheus", "a-long-password-of-24"),)
    assert (config.trusted_hops, config.keep_alive) == (2, 120)
    assert config.tls is not None
    assert config.store_url == "sqlite:////var/lib/other.db"
    assert (config.retention, config.quarantine_retention, config.backup_max_age) == (864000, 3600, 93600)
    assert config.allow_open_store_folder
    limits = config.limits
    assert (limits.events_per_minute, limits.new_exports_per_day, limits.test_calls_per_minute) == (11, 12, 13)
    assert limits.quarantined_bytes_per_day == 14
    assert (limits.exports_per_source, limits.event_bytes) == (7, 2048)
    assert (limits.request_bytes, limits.total_request_bytes) == (4096, 2097152)
    assert (config.log.level, config.log.format) == ("error", "json")
    assert list(config.sources) == ["from-the-environment", "default"]
    assert config.sources["default"].credentials.tokens == ("the-first-token!", "the-second-token")
    assert not config.sources["from-the-environment"].credentials.are_required
    assert [(each.name, each.muted_until) for each in config.exports] == [("n", 1796083200)]


def test_the_variable_for_tokens_makes_the_default_source_where_there_is_none(tmp_path: Path) -> None:
    for toml, slugs in (("", ["default"]), ('[[sources]]\nslug = "shop"\n', ["shop", "default"])):
        config = loaded(tmp_path, toml, {"DATAEXPORT_TOKENS": "a-secret-of-some-length"})
        assert list(config.sources) == slugs
        assert config.sources["default"].credentials.tokens == ("a-secret-of-some-length",)


def test_a_secret_may_be_in_a_file_that_a_variable_names(tmp_path: Path) -> None:
    contents = {
        "DATAEXPORT_ADMIN_TOKENS": "the-first-admin-token\nthe-second-admin-token\n",
        "DATAEXPORT_ADMIN_BASIC": '{"username": "prometheus", "password": "a-long-password-of-24"}\n',
        "DATAEXPORT_STORE_URL": "sqlite:///other.db\n",
        "DATAEXPORT_SOURCES": '[{"slug": "shop", "tokens": ["a-secret-of-some-length"]}]',
        "DATAEXPORT_TOKENS": "the-first-token!\n",
    }
    assert set(contents) == FILE_VARIABLES
    for name, content in contents.items():
        (tmp_path / name).write_text(content, "utf-8")
    config = load(None, {f"{name}_FILE": str(tmp_path / name) for name in contents})
    assert config.admin_credentials.tokens == ("the-first-admin-token", "the-second-admin-token")
    assert config.admin_credentials.basic == (("prometheus", "a-long-password-of-24"),)
    assert config.store_url == f"sqlite:///{Path.cwd()}/other.db"
    assert config.sources["shop"].credentials.tokens == ("a-secret-of-some-length",)
    assert config.sources["default"].credentials.tokens == ("the-first-token!",)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DATAEXPORT_TOKENS_FILE", "/nowhere/at/all", "No such file"),
        ("DATAEXPORT_EVENT_BYTES_FILE", "/nowhere", "unknown setting"),
        ("DATAEXPORT_SOURCES", "[{", 'is not JSON at character 3; give, for example, [{"slug": "shop"}]'),
        ("DATAEXPORT_SOURCES", "[" * 100_000, "is not JSON; give"),
        ("DATAEXPORT_SOURCES", '{"slug": "a"}', "give a JSON list of tables"),
        ("DATAEXPORT_EXPORTS", '[{"name": "a"}]', "DATAEXPORT_EXPORTS[1].match: missing"),
        ("DATAEXPORT_EXPORTS_PER_SOURCE", "many", "'many': give a whole number from 1 to 100000"),
        ("DATAEXPORT_TOKEN", "x", "did you mean DATAEXPORT_TOKENS?"),
        ("DATAEXPORT_TOKENS", " ", "is empty; give at least one token, or do not set it at all"),
        ("DATAEXPORT_ADMIN_TOKENS", "", "is empty"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(None, {variable: value})
    assert all(each.startswith("environment: ") for each in refused.value.problems)
    assert said in str(refused.value)


@pytest.mark.parametrize("variable", ["DATAEXPORT_WEBHOOK_LISTEN", "DATAEXPORT_TOKENS"])
@pytest.mark.parametrize("toml", ["server = 1\nsources = 2\n", 'server = "x"\nsources = ["y"]\n'])
def test_a_variable_over_a_file_of_the_wrong_shape_is_a_problem_and_no_crash(
    tmp_path: Path, toml: str, variable: str
) -> None:
    said = problems(tmp_path, toml, {variable: "127.0.0.1:1"})
    assert any(each.startswith("server: ") for each in said)
    assert any(each.startswith("sources") for each in said)


SERVICE_LINKS = {
    "DATAEXPORT_SERVICE_HOST": "10.96.0.1",
    "DATAEXPORT_SERVICE_PORT": "8080",
    "DATAEXPORT_SERVICE_PORT_WEBHOOK": "8080",
    "DATAEXPORT_PORT": "tcp://10.96.0.1:8080",
    "DATAEXPORT_PORT_8080_TCP": "tcp://10.96.0.1:8080",
    "DATAEXPORT_PORT_8080_TCP_PROTO": "tcp",
    "DATAEXPORT_PORT_8080_TCP_PORT": "8080",
    "DATAEXPORT_PORT_8080_TCP_ADDR": "10.96.0.1",
    "DATAEXPORT_EXPORTER_SERVICE_HOST": "fd00::1",
    "DATAEXPORT_EXPORTER_SERVICE_PORT": "10047",
    "DATAEXPORT_EXPORTER_SERVICE_PORT_HTTP_ADMIN": "10047",
    "DATAEXPORT_EXPORTER_PORT": "udp://[fd00::1]:10047",
    "DATAEXPORT_EXPORTER_PORT_10047_SCTP": "sctp://[fd00::1]:10047",
    "DATAEXPORT_EXPORTER_PORT_10047_SCTP_PROTO": "sctp",
    "DATAEXPORT_EXPORTER_PORT_10047_UDP_PORT": "10047",
    "DATAEXPORT_EXPORTER_PORT_10047_TCP_ADDR": "fd00::1",
}


def test_variables_that_kubernetes_makes_for_services_are_ignored() -> None:
    config = load(None, SERVICE_LINKS | {"DATAEXPORT_LOG_LEVEL": "error"})
    assert config.ignored_variables == tuple(sorted(SERVICE_LINKS))
    assert config.log.level == "error"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATAEXPORT_PORT", "8080"),
        ("DATAEXPORT_SERVICE_HOST", "shop.example"),
        ("DATAEXPORT_WEBHOOK_PORT", "8080"),
        ("DATAEXPORT_STORE", "tcp://10.96.0.1:8080"),
        ("DATAEXPORT_PORT_8080_TCP_NAME", "x"),
    ],
)
def test_what_only_resembles_such_a_variable_is_an_unknown_setting(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"environment: {variable}: unknown setting"):
        load(None, {variable: value})


def test_what_variables_override_of_the_file_is_told_without_secrets(tmp_path: Path) -> None:
    toml = """
    [server]
    webhook_listen = "127.0.0.1:1"
    admin_listen = "127.0.0.1:2"
    trusted_hops = 1
    allow_readable_secrets = true
    admin_tokens = ["a-canary-in-the-file"]
    admin_basic = { username = "u", password = "a-canary-in-the-file" }
    [store]
    url = "postgresql+psycopg://u:a-canary@h/d"
    [[sources]]
    slug = "default"
    tokens = ["a-canary-in-the-file"]
    [[exports]]
    name = "nightly"
    match = { request_id = 7 }
    """
    environment = {
        "DATAEXPORT_WEBHOOK_LISTEN": "127.0.0.1:3",
        "DATAEXPORT_ADMIN_LISTEN": "127.0.0.1:2",
        "DATAEXPORT_TRUSTED_HOPS": "1",
        "DATAEXPORT_ALLOW_READABLE_SECRETS": "TRUE",
        "DATAEXPORT_ADMIN_TOKENS": "another-canary-of-the-admin",
        "DATAEXPORT_ADMIN_BASIC": '{"username": "u", "password": "another-canary-of-the-admin"}',
        "DATAEXPORT_STORE_URL": "postgresql+psycopg://u:a-canary-in-a-variable@h/d2",
        "DATAEXPORT_TOKENS": "a-canary-in-a-variable",
        "DATAEXPORT_EXPORTS": '[{"name": "hourly", "match": {"request_id": 7}}]',
        "DATAEXPORT_EVENT_BYTES": "2048",
    }
    hidden = "a value that is not shown instead of a value that is not shown"
    assert list(map(str, loaded(tmp_path, toml, environment).overrides)) == [
        f"DATAEXPORT_ADMIN_BASIC overrides server.admin_basic: {hidden}",
        f"DATAEXPORT_ADMIN_TOKENS overrides server.admin_tokens: {hidden}",
        "DATAEXPORT_EXPORTS overrides exports: ['hourly'] instead of ['nightly']",
        (
            "DATAEXPORT_STORE_URL overrides store.url: postgresql+psycopg://u:***@h/d2 instead of "
            "postgresql+psycopg://u:***@h/d"
        ),
        f"DATAEXPORT_TOKENS overrides sources[1].tokens: {hidden}",
        "DATAEXPORT_WEBHOOK_LISTEN overrides server.webhook_listen: '127.0.0.1:3' instead of '127.0.0.1:1'",
    ]
    both = {"DATAEXPORT_SOURCES": '[{"slug": "a"}, {"slug": "default"}]', "DATAEXPORT_STORE_URL": "sqlite:////a.db"}
    toml = toml.replace("@h/d", "@h/d?password=a-canary")
    assert list(map(str, loaded(tmp_path, toml, both).overrides)) == [
        "DATAEXPORT_SOURCES overrides sources: ['a', 'default'] instead of ['default']",
        "DATAEXPORT_STORE_URL overrides store.url: sqlite:////a.db instead of a value that is not shown",
    ]


def test_the_default_host_of_an_image_overrides_nothing(tmp_path: Path) -> None:
    image = {
        "DATAEXPORT_DEFAULT_HOST": "0.0.0.0",  # noqa: S104 - as in the image
        "DATAEXPORT_TOKENS": "a-secret-of-some-length",
        "DATAEXPORT_ADMIN_OPEN": "true",
    }
    config = load(None, image)
    assert (str(config.webhook_listen), str(config.admin_listen)) == ("0.0.0.0:8080", "0.0.0.0:10047")
    config = loaded(tmp_path, '[server]\nwebhook_listen = "127.0.0.1:1"\n', image)
    assert (str(config.webhook_listen), str(config.admin_listen)) == ("127.0.0.1:1", "0.0.0.0:10047")
    config = load(None, image | {"DATAEXPORT_DEFAULT_HOST": "::", "DATAEXPORT_ADMIN_LISTEN": "127.0.0.1:1"})
    assert (str(config.webhook_listen), str(config.admin_listen)) == ("[::]:8080", "127.0.0.1:1")
    assert config.overrides == ()
    with pytest.raises(ConfigurationError, match="environment: DATAEXPORT_DEFAULT_HOST: 'x:8080': give"):
        load(None, {"DATAEXPORT_DEFAULT_HOST": "x"})
    assert "server: 1: give a table" in problems(tmp_path, "server = 1", image)[0]


def test_the_image_sets_no_address_that_would_override_a_file(tmp_path: Path) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    environment = dict(re.findall(r"(DATAEXPORT_\w+)=(\S+)", dockerfile))
    assert environment["DATAEXPORT_DEFAULT_HOST"] == "0.0.0.0"  # noqa: S104 - the container's own network
    toml = '[server]\nwebhook_listen = "127.0.0.1:1"\nadmin_listen = "127.0.0.1:2"\n'
    config = loaded(tmp_path, toml, environment)
    assert (str(config.webhook_listen), str(config.admin_listen)) == ("127.0.0.1:1", "127.0.0.1:2")
    assert re.search(r'HEALTHCHECK.*\n +CMD \["dataexport-exporter", "healthcheck"\]', dockerfile)


def test_a_message_names_the_variable_of_a_setting_that_one_sets() -> None:
    message = "store.url: there is no database; see store.urls, x.store.url and store.url. Set store.retention."
    assert name_variables(message, {}) == message
    assert name_variables(message, {"DATAEXPORT_STORE_URL": "x", "DATAEXPORT_SOURCES": "y"}) == (
        "DATAEXPORT_STORE_URL: there is no database; see store.urls, x.store.url and DATAEXPORT_STORE_URL. "
        "Set store.retention."
    )
    given = name_variables("store.url", {"DATAEXPORT_STORE_URL_FILE": "x"})
    assert given == "DATAEXPORT_STORE_URL_FILE"
