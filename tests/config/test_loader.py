"""The configuration: what is taken, and what is refused and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from configurations import loaded, problems
from exporter.config.loader import admin_address, load
from exporter.config.values import Address
from exporter.domain.errors import ConfigurationError

EVERYTHING = """
[server]
webhook_listen = "127.0.0.1:8080"
admin_listen = "127.0.0.1:10047"

[store]
url = "sqlite:///dataexport.db"
retention = "400d"

[limits]
exports_per_source = 200
event_bytes = 65536
request_bytes = 1048576

[[sources]]
slug = "shop-in1"
vendor = "clevertap"
timezone = "Asia/Kolkata"
severity = "info"
tokens_file = ["secrets/shop"]

[[exports]]
name = "nightly-s3"
source = "shop-in1"
match = { partner = "Amazon S3", data_type = "events", frequency = "24h" }
interval = "24h"
grace = "2h"
max_runtime = "3h"
first_expected = 2026-12-01T00:00:00Z
severity = "warning"
owner = "data-platform"
runbook_url = "https://example.org/nightly"
"""


ZONE_WANTED = "give a date and time with its zone, for example 2026-12-01T00:00:00Z"


def test_without_any_configuration_it_listens_on_loopback_with_one_source() -> None:
    config = load(None, {"HOME": "/", "PATH": "/bin"})
    assert config.webhook_listen == Address("127.0.0.1", 8080)
    assert config.admin_listen == Address("127.0.0.1", 10047)
    assert config.store_url == f"sqlite:///{Path.cwd()}/dataexport.db"
    assert config.retention == 400 * 86400
    assert list(config.sources) == ["default"]
    assert config.sources["default"].source.timezone == "auto"
    assert not config.sources["default"].credentials.are_required
    assert not config.admin_credentials.are_required
    assert config.exports == ()


def test_every_setting_of_a_full_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shop").write_text("the token of the shop\n", "utf-8")
    config = loaded(tmp_path, EVERYTHING)
    shop = config.sources_without_credentials["shop-in1"]
    assert shop.timezone == "Asia/Kolkata"
    assert str(shop.zone) == "Asia/Kolkata"
    assert shop.severity == "info"
    assert config.sources["shop-in1"].credentials.accepts({"Authorization": "Bearer the token of the shop"})
    (export,) = config.exports
    assert export.name == "nightly-s3"
    assert (export.match.source, export.match.partner) == ("shop-in1", "Amazon S3")
    assert (export.match.data_type, export.match.frequency) == ("events", "24h")
    assert (export.interval, export.grace, export.max_runtime) == (86400, 7200, 10800)
    assert export.first_expected == 1796083200
    assert export.severity == "warning"
    assert (export.owner, export.runbook_url) == ("data-platform", "https://example.org/nightly")


def test_an_overdue_declared_export_is_critical_and_an_undeclared_one_a_warning_unless_configured(
    tmp_path: Path,
) -> None:
    config = loaded(tmp_path, '[[exports]]\nname = "nightly"\nmatch = { frequency = "24h" }')
    assert config.exports[0].severity == "critical"
    assert config.sources_without_credentials["default"].severity == "warning"


def test_every_problem_is_said_at_once_with_its_place_what_was_given_and_what_would_be_right(tmp_path: Path) -> None:
    said = problems(
        tmp_path,
        """
        top = 1
        [server]
        webhook_listen = "here"
        webhook_lisen = "127.0.0.1:1"
        [store]
        retention = "1h"
        [limits]
        exports_per_source = 0
        [log]
        level = "loud"
        [[sources]]
        slug = "Shop"
        timezone = "Mars"
        severity = "none"
        [[sources]]
        vendor = "other"
        [[exports]]
        name = "any"
        match = { partner = 7, patner = "s3" }
        interval = "often"
        first_expected = 2026-12-01T00:00:00
        severity = 1
        runbook_url = "javascript:alert(1)"
        """,
        {"DATAEXPORT_EVENT_BYTES": "12", "DATAEXPORT_ADMIN_LISEN": "x"},
    )
    expected = {
        "environment: DATAEXPORT_ADMIN_LISEN: unknown setting; did you mean DATAEXPORT_ADMIN_LISTEN?",
        "environment: DATAEXPORT_EVENT_BYTES: '12': give a whole number from 1024 to 1048576",
        "top: unknown setting",
        """server.webhook_listen: 'here': give "ADDRESS:PORT", for example "127.0.0.1:8080" or "[::]:8080\"""",
        "server.webhook_lisen: unknown setting; did you mean webhook_listen?",
        "store.retention: '1h': give a duration of at least \"1d\"",
        "limits.exports_per_source: 0: give a whole number from 1 to 100000",
        'log.level: \'loud\': give "debug", "info", "warning" or "error"',
        """sources[1].slug: 'Shop': give lower-case letters, digits and hyphens, at most 63, and not "unknown\"""",
        """sources[1].timezone: 'Mars': no time zone 'Mars'; give "auto" or a name such as "Asia/Kolkata" or "UTC\"""",
        """sources[1].severity: 'none': give "critical" for a page, "warning" for a ticket, or "info" for neither""",
        """exports[1].severity: 1: give "critical" for a page, "warning" for a ticket, or "info" for neither""",
        "sources[2].slug: missing; it has to be given",
        "sources[2].vendor: 'other': no such vendor; give one of clevertap",
        """exports[1].name: 'any': "any" and "other" are reserved names; give another name""",
        "exports[1].match.partner: 7: give 1 to 128 printable characters, in quotation marks",
        "exports[1].match.patner: unknown setting; did you mean partner?",
        """exports[1].interval: 'often': give a duration such as "90m", "1h30m", "24h" or "7d\"""",
        f"exports[1].first_expected: 2026-12-01T00:00:00: {ZONE_WANTED}",
        (
            "exports[1].runbook_url: 'javascript:alert(1)': give an address of at most 512 characters, "
            'such as "https://wiki.example/nightly"'
        ),
    }
    assert set(said) == expected
    assert len(said) == len(expected)


def test_the_largest_request_has_to_fit_into_the_total_of_all_requests(tmp_path: Path) -> None:
    both = "[limits]\nrequest_bytes = 8388608\ntotal_request_bytes = {}\n"
    assert loaded(tmp_path, both.format(8388608)).limits.total_request_bytes == 8388608
    (problem,) = problems(tmp_path, both.format(8388607))
    assert problem == (
        "limits.total_request_bytes: 8388607 is less than limits.request_bytes, 8388608; "
        "give at least as much, so that one request fits"
    )


def test_what_only_shows_when_all_is_put_together_is_said_at_once_as_well(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n", "utf-8")
    (tmp_path / "binary").write_bytes(b"\xff")
    said = problems(
        tmp_path,
        """
        [server]
        webhook_listen = "0.0.0.0:8080"
        admin_listen = "0.0.0.0:8080"
        admin_basic = { username = "prometheus", password_file = "missing" }
        [[sources]]
        slug = "default"
        [[sources]]
        slug = "default"
        tokens_file = ["empty", "binary"]
        [[sources]]
        slug = "half"
        basic = { username = "clevertap" }
        tokens = ["a-good-token-of-26-letters", ""]
        [[exports]]
        name = "nightly"
        source = "nowhere"
        match = {}
        [[exports]]
        name = "nightly"
        source = "nowhere"
        match = { request_id = 7 }
        """,
        {"DATAEXPORT_NONSENSE": ""},
    )
    told = "\n".join(said).replace(str(tmp_path), "folder")
    assert "environment: DATAEXPORT_NONSENSE: unknown setting" in said
    assert (
        "sources[1]: source 'default' has no credential, and server.webhook_listen is 0.0.0.0:8080, which is not "
        "loopback; set tokens_file, tokens or basic (or DATAEXPORT_TOKENS)"
    ) in said
    assert "sources[2].slug: duplicate slug 'default'; give every source its own" in said
    assert "sources[2].tokens_file: 'folder/empty' has no token; put one on a line" in told
    assert "sources[2].tokens_file: 'folder/binary' cannot be read" in told
    assert "sources[3].basic: has no password; set password_file or password" in said
    assert (
        "sources[3].tokens: a secret has 0 characters; give at least 16, such as the output of: openssl rand -hex 32"
        in said
    )
    assert (
        "server.admin_listen: 0.0.0.0:8080 is the address of server.webhook_listen as well; give each its own port"
        in said
    )
    assert "server.admin_basic.password_file: 'folder/missing' cannot be read" in told
    assert "exports[1].match: is empty; give at least one of request_id, partner, data_type, frequency" in said
    assert "exports[1].source: 'nowhere' is not a source; the sources are default, half" in said
    assert "exports[2].name: duplicate name 'nightly' in source 'nowhere'; give another name" in said
    assert "exports[2].source: 'nowhere' is not a source; the sources are default, half" in said
    assert len(said) == 13, told


@pytest.mark.parametrize(
    ("match", "given"),
    [
        ('partner = "Microsoft Azure"', ""),
        ('partner = "S3", frequency = "every blue moon"', ', and match.frequency "every blue moon" gives none'),
    ],
)
def test_a_declared_export_that_could_never_be_overdue_is_refused(tmp_path: Path, match: str, given: str) -> None:
    export = f'[[exports]]\nname = "nightly"\nmatch = {{ {match} }}\n'
    (said,) = problems(tmp_path, export)
    assert said == (
        f"exports[1].interval: is missing{given}, so that the export could never be overdue; "
        'say interval = "24h", or match.frequency = "one-time" if it has no schedule'
    )
    assert loaded(tmp_path, f'{export}interval = "24h"').exports[0].interval == 86400


def test_a_declared_export_may_have_no_interval_if_it_runs_once_or_the_events_of_its_request_id_may_give_one(
    tmp_path: Path,
) -> None:
    for match in ('frequency = "One Time"', "request_id = 7", 'request_id = 7, frequency = "every blue moon"'):
        (export,) = loaded(tmp_path, f'[[exports]]\nname = "a"\nmatch = {{ {match} }}').exports
        assert export.interval is None


def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"read \(No such file or directory\); give an existing file"):
        load(tmp_path / "missing.toml", {})
    advice = "sections and lists need [ ], texts need quotation marks, and a name may occur only once"
    assert problems(tmp_path, "[server")[0] == f"is not TOML at its end: {advice}"
    assert problems(tmp_path, "\n[log]\nlevel = loud\n")[0] == f"is not TOML at line 3, column 9: {advice}"
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"binary.toml: is not UTF-8; save it as UTF-8$"):
        load(tmp_path / "binary.toml", {})


def test_what_an_export_matches_is_understood_as_events_are(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """
        [[exports]]
        name = "worded"
        match = { partner = "aws s3", data_type = "E\u0301vents", frequency = "Every 4 hours" }
        [[exports]]
        name = "by-id"
        match = { request_id = 1690283492 }
        muted_until = 2026-12-01T05:30:00+05:30
        [[exports]]
        name = "once"
        match = { frequency = "One Time", request_id = "abc" }
        """,
    )
    worded, by_id, once = config.exports
    assert (worded.match.partner, worded.match.data_type, worded.match.frequency) == ("Amazon S3", "\u00e9vents", "4h")
    assert worded.interval == 14400
    assert by_id.match.request_id == "1690283492"
    assert (by_id.interval, by_id.first_expected, by_id.muted_until) == (None, 0, 1796083200)
    assert (once.match.frequency, once.interval, once.match.request_id) == ("one-time", None, "abc")


def test_the_same_name_may_be_declared_in_two_sources(tmp_path: Path) -> None:
    export = '[[exports]]\nname = "nightly"\nmatch = { request_id = 7 }\n'
    toml = "".join(f'[[sources]]\nslug = "{slug}"\n{export}source = "{slug}"\n' for slug in ("one", "two"))
    assert [each.match.source for each in loaded(tmp_path, toml).exports] == ["one", "two"]


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbfa-secret-of-some-length\r\n")
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbfa-word-of-some-length\r\n")
    (tmp_path / "dataexport.toml").write_bytes(
        b'\xef\xbb\xbf[[sources]]\r\nslug = "a"\r\ntokens_file = ["token"]\r\n'
        b'basic = { username = "u", password_file = "password" }\r\n'
    )
    credentials = load(tmp_path / "dataexport.toml", {}).sources["a"].credentials
    assert (credentials.tokens, credentials.basic) == (("a-secret-of-some-length",), (("u", "a-word-of-some-length"),))


def test_every_line_of_a_token_file_is_a_token_but_blank_ones_and_comments(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(
        "# until May\nan old, but long one\n\n  a-new-and-long-one  \r\n#new-er\n", "utf-8"
    )
    tokens = ("an old, but long one", "a-new-and-long-one")
    toml = '[[sources]]\nslug = "a"\ntokens_file = ["tokens", "tokens"]\n'
    assert loaded(tmp_path, toml).sources["a"].credentials.tokens == tokens * 2
    assert loaded(tmp_path, '[server]\nadmin_tokens_file = ["tokens"]\n').admin_credentials.tokens == tokens
    config = load(None, {"DATAEXPORT_TOKENS_FILE": str(tmp_path / "tokens")})
    assert config.sources["default"].credentials.tokens == tokens
    (tmp_path / "tokens").write_text("# none\n", "utf-8")
    said = problems(tmp_path, '[[sources]]\nslug = "a"\ntokens_file = ["tokens"]\n')
    assert said == [f"sources[1].tokens_file: '{tmp_path}/tokens' has no token; put one on a line"]


@pytest.mark.parametrize(
    ("content", "told"), [("", "is empty"), (" \n", "is empty"), ("one\ntwo\n", "has more than one line")]
)
def test_a_password_file_has_one_line(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "word").write_text(content, "utf-8")
    said = problems(tmp_path, '[[sources]]\nslug = "a"\nbasic = { username = "u", password_file = "word" }\n')
    path = f"sources[1].basic.password_file: '{tmp_path}/word'"
    assert said == [f"{path} {told}; put the password into it, on one line"]


def test_the_address_of_the_admin_listener_is_found_whatever_else_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "dataexport.toml"
    path.write_text('top = 1\n[server]\nadmin_listen = "[::]:9"\nadmin_tokens_file = ["missing"]\n', "utf-8")
    assert admin_address(path, {"DATAEXPORT_NONSENSE": "1"}) == Address("::", 9)
    assert admin_address(path, {"DATAEXPORT_ADMIN_LISTEN": "127.0.0.1:3"}) == Address("127.0.0.1", 3)
    assert admin_address(None, {}) == Address("127.0.0.1", 10047)
    with pytest.raises(ConfigurationError, match="DATAEXPORT_ADMIN_LISTEN: 'x': give"):
        admin_address(path, {"DATAEXPORT_ADMIN_LISTEN": "x"})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        admin_address(tmp_path / "missing.toml", {})
