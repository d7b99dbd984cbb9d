"""The command line: every command, what it prints, its exit code, and one sentence where it fails."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest
import requests
from click.testing import CliRunner

from builders import DAY, HOUR, MINUTE, body, vendor_clock
from exporter import __version__
from exporter.cli import main
from exporter.event_time import load_zone
from exporter.intake import Intake
from exporter.ledger import PAGE
from exporter.model import Source
from exporter.sql_ledger import SqlLedger
from running import Exporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result
    from requests_mock import Mocker

READERS = ("exports", "events", "sources", "quarantine", "doctor")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, arguments)


def said(result: Result, code: int) -> str:
    """What is on standard error of a command that failed, and never a traceback."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


class Store:
    """A database as an exporter would have left it."""

    def __init__(self, tmp_path: Path, timezone: str = "UTC", slug: str = "default") -> None:
        self.path = tmp_path / "dataexport.db"
        self._source = Source(slug, timezone, load_zone(timezone))
        self.ledger = SqlLedger(f"sqlite:///{self.path}")
        self._intake = Intake(self.ledger, 65536)

    def deliver(self, status: str, ago: float, request_id: object = 1700000001, **changes: object) -> None:
        """A body whose text is on a UTC clock, and that arrives as it happens."""
        moment = time.time() - ago
        self._intake.take(self._source, body(status, vendor_clock(moment), request_id, **changes), moment)

    def take(self, sent: bytes) -> None:
        self._intake.take(self._source, sent, time.time())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.ledger.close()


@pytest.mark.parametrize("command", [(), *((name,) for name in main.commands)])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_of_every_command_has_an_example(command: tuple[str, ...], flag: str) -> None:
    result = run(*command, flag)
    assert result.exit_code == 0
    assert re.search(r"Example:\n +dataexport-exporter ", result.stdout)


def test_the_version_is_told() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"dataexport-exporter, version {__version__}\n")


def test_a_command_or_an_option_that_does_not_exist_is_wrong_usage() -> None:
    assert "No such command" in said(run("serv"), 2)
    assert "No such option" in said(run("exports", "--jso"), 2)
    assert "Missing argument 'FILE'" in said(run("check-config"), 2)
    assert "0 is not in the range" in said(run("events", "--limit", "0"), 2)


def test_check_config_says_that_a_file_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "fine.toml"
    path.write_text('[[sources]]\nslug = "a"\n[[sources]]\nslug = "b"\n', "utf-8")
    result = run("check-config", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{path}: fine, 2 sources, 0 declared exports\n")


def test_check_config_says_every_problem_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('[log]\nlevel = "loud"\n[[sources]]\nslug = "A"\n', "utf-8")
    lines = said(run("check-config", str(path)), 2).splitlines()
    assert [line.startswith(f"{path}: ") for line in lines] == [True, True]
    assert "cannot be read" in said(run("check-config", str(tmp_path / "missing")), 2)
    assert "cannot be read" in said(run("check-config", str(tmp_path)), 2)


@pytest.mark.parametrize("command", [*READERS, "serve"])
def test_a_wrong_configuration_is_exit_code_2(command: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[server", "utf-8")
    for result in (run(command, "--config", str(path)), run(command, DATAEXPORT_CONFIG=str(path))):
        assert said(result, 2).startswith(f"{path}: is not TOML")


@pytest.mark.parametrize("command", READERS)
def test_a_command_that_only_looks_makes_no_database(command: str, tmp_path: Path) -> None:
    sentence = said(run(command), 1)
    assert sentence.startswith("error: store.url: there is no database at dataexport.db; start the exporter first")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*READERS, "serve"])
def test_a_file_that_is_no_database_is_refused_in_one_sentence(command: str, tmp_path: Path) -> None:
    (tmp_path / "dataexport.db").write_bytes(b"this is no database" * 1000)
    sentence = said(run(command, DATAEXPORT_LOG_LEVEL="error"), 1)
    assert re.fullmatch(r"error: store\.url: cannot open .*: file is not a database\n", sentence)


@pytest.mark.parametrize("command", [*READERS, "serve"])
def test_a_database_of_a_newer_release_is_refused_in_one_sentence(command: str, store: Store) -> None:
    store.ledger.close()
    database = sqlite3.connect(store.path)
    database.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    database.commit()
    database.close()
    sentence = said(run(command, DATAEXPORT_LOG_LEVEL="error"), 1)
    assert sentence.startswith("error: a newer release of dataexport-exporter wrote this database")
    assert sentence.count("\n") == 1


def test_a_folder_that_is_not_there_is_refused_in_one_sentence() -> None:
    result = run("serve", DATAEXPORT_STORE_URL="sqlite:////nowhere/at/all.db", DATAEXPORT_LOG_LEVEL="error")
    assert said(result, 1).startswith("error: store.url: there is no folder /nowhere/at for the database")


def test_an_address_that_is_taken_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        for setting in ("webhook_listen", "admin_listen"):
            variable = f"DATAEXPORT_{setting.upper()}"
            taken = exporter.environment[variable]
            second = Exporter(tmp_path, environment={variable: taken}).run("serve")
            assert (second.returncode, second.stdout) == (1, "")
            expected = rf"error: server\.{setting}: cannot listen on {taken} \(Address already in use\): .*\n"
            assert re.fullmatch(expected, second.stderr)


def test_an_admin_listener_open_to_everyone_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "dataexport.db").write_bytes(b"no database, so that it stops before it listens" * 100)
    result = run("serve", DATAEXPORT_ADMIN_LISTEN="0.0.0.0:1", DATAEXPORT_LOG_FORMAT="json")
    assert "anyone who reaches server.admin_listen can read it" in result.stderr
    guarded = {"DATAEXPORT_ADMIN_LISTEN": "0.0.0.0:1", "DATAEXPORT_ADMIN_TOKENS": "secret"}
    assert "anyone" not in run("serve", **guarded).stderr


def test_nothing_known_yet_is_said(store: Store) -> None:
    assert store.path.exists()
    for command in ("exports", "events", "quarantine"):
        assert run(command).stdout == "nothing yet\n"
        assert json.loads(run(command, "--json").stdout) == []
    assert run("sources").stdout.splitlines()[1].split() == ["default", "auto", "0", "0", "0", "never"]


def columns(result: Result) -> list[list[str]]:
    """The cells of a table, by line."""
    assert result.exit_code == 0, result.output
    return [re.split(r"  +", line) for line in result.stdout.splitlines()]


def test_exports_are_listed_with_the_most_urgent_first(store: Store) -> None:
    store.deliver("Completed", 30 * MINUTE, 1, Partner="Azure", Frequency="Daily")
    store.deliver("Initiated", 9 * HOUR, 2)
    heads, late, fine = columns(run("exports"))
    assert heads == ["STATE", "SOURCE", "EXPORT", "PARTNER", "TYPE", "FREQUENCY", "LAST COMPLETED", "DUE"]
    assert late[:7] == ["never completed", "default", "any", "Amazon S3", "events", "4h", "never"]
    assert late[7] == "4 h 12 min overdue"
    assert fine[:6] == ["fine", "default", "any", "Microsoft Azure", "events", "24h"]
    assert fine[6].endswith(" ago")
    first, second = json.loads(run("exports", "--json").stdout)
    assert (first["state"], first["partner"], first["completed"]) == ("never completed", "Amazon S3", 0)
    assert (second["state"], second["partner"], second["completed"]) == ("fine", "Microsoft Azure", 1)


def test_events_are_listed_newest_first(store: Store) -> None:
    for number in range(3):
        store.deliver("Completed", 10 - number, f"id {number}")
    heads, *rows = columns(run("events", "--limit", "2"))
    assert heads[:3] == ["SEQUENCE", "ARRIVED AT", "OCCURRED AT"]
    assert [row[5] for row in rows] == ["id 2", "id 1"]
    told = json.loads(run("events", "--json", "--source", "default").stdout)
    assert [event["request_id"] for event in told] == ["id 2", "id 1", "id 0"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told[0]["arrived_at"])
    assert told[0]["utc_offset"] == "+00:00"
    assert run("events", "--source", "elsewhere").stdout == "nothing yet\n"


def test_sources_are_listed_with_their_counts_and_clocks(tmp_path: Path) -> None:
    store = Store(tmp_path, "Asia/Kolkata")
    for number in range(3):
        store.deliver("Completed", 5, number)
    store.take(b'{"odd": 1}')
    store.take(b'{"odd": 1}')
    store.ledger.close()
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text('[[sources]]\nslug = "default"\ntimezone = "Asia/Kolkata"\n', "utf-8")
    _, (slug, zone, offset, *counts, _) = columns(run("sources", "--config", str(configuration)))
    assert (slug, zone, offset, counts) == ("default", "Asia/Kolkata (suspect)", "+00:00", ["3", "1", "1"])
    (told,) = json.loads(run("sources", "--config", str(configuration), "--json").stdout)
    assert (told["duplicates"], told["quarantined"], told["suspect"]) == (1, {"missing_key": 1}, True)


def test_what_was_not_understood_is_listed_and_cannot_move_the_cursor(store: Store) -> None:
    store.take(body(when=b"\\u001b[2J yesterday".decode("unicode_escape")))
    heads, row = columns(run("quarantine"))
    assert heads == ["SEQUENCE", "ARRIVED AT", "SOURCE", "REASON", "DETAIL"]
    assert row[2:4] == ["default", "unprintable_text"]
    assert "\x1b" not in run("quarantine").stdout
    (told,) = json.loads(run("quarantine", "--json").stdout)
    assert json.loads(told["body"])["Date and Time"] == "\x1b[2J yesterday"
    store.take(b"{}")
    assert len(json.loads(run("quarantine", "--json", "--limit", "1").stdout)) == 1


def test_more_events_than_a_page_are_read(store: Store) -> None:
    assert PAGE > 20
    for number in range(21):
        store.deliver("Completed", 5, number)
    assert len(columns(run("events"))) == 1 + 20


def test_the_doctor_finds_nothing_wrong_with_a_healthy_exporter(store: Store) -> None:
    store.deliver("Completed", 5)
    result = run("doctor")
    assert result.exit_code == 0
    findings = result.stdout.partition("\nDeclare these")[0].splitlines()
    assert all(line.startswith("ok  ") for line in findings if line)
    assert "source default: no credential (loopback only), time zone auto" in result.stdout
    assert "store: sqlite:///dataexport.db: 1 events" in result.stdout
    assert "arrivals suggest UTC offset +00:00" in result.stdout


def test_the_doctor_shows_a_gap_a_silent_source_and_a_recognised_id(store: Store, tmp_path: Path) -> None:
    now = time.time()
    store.ledger.beat("first", now - 3 * DAY)
    store.ledger.beat("second", now - 2 * DAY)
    store.deliver("Initiated", 5 * HOUR)
    store.deliver("Initiated", HOUR)
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text('[[sources]]\nslug = "default"\ntokens = ["a"]\n[[sources]]\nslug = "silent"\n', "utf-8")
    told = run("doctor", "--config", str(configuration)).stdout
    assert "nobody listened for 86400 s" in told
    assert "ok   source silent: no event yet" in told
    assert "ok   source default: a credential, time zone auto" in told
    assert "request id 1700000001 is an export of its own: Amazon S3, 4h" in told


def test_the_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    store = Store(tmp_path, "Asia/Kolkata")
    for number in range(3):
        store.deliver("Completed", 5, number, Frequency="One Time", Partner=f"partner {number}")
    store.take(b"{}")
    store.ledger.close()
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text(
        '[limits]\nexports_per_source = 2\n[[sources]]\nslug = "default"\ntimezone = "Asia/Kolkata"\n', "utf-8"
    )
    result = run("doctor", "--config", str(configuration))
    assert result.exit_code == 1
    wrong = [line for line in result.stdout.splitlines() if line.startswith("BAD ")]
    assert len(wrong) == 3
    assert 'timezone = "Asia/Kolkata" contradicts that: set timezone = "auto"' in wrong[0]
    assert "1 bodies not understood; see: dataexport-exporter quarantine" in wrong[1]
    assert "source default: 3 exports, more than limits.exports_per_source = 2" in wrong[2]
    assert "Declare these" not in result.stdout


def test_what_the_doctor_suggests_can_be_pasted_and_tells_the_same_exports_apart(store: Store, tmp_path: Path) -> None:
    for hours in (5, 1):
        store.deliver("Initiated", hours * HOUR, 7)
    store.deliver("Initiated", 9 * HOUR, 8)  # its group is the most urgent, but must not come first
    store.deliver("Initiated", HOUR, 9, Type="Profiles")
    store.deliver("Initiated", HOUR, 10, Partner='back\\slash "quoted" ünï 🚀')
    store.deliver("Initiated", HOUR, 11, Partner="x" * 128)
    store.deliver("Initiated", HOUR, 12, Partner="x" * 127 + "y")
    store.deliver("Initiated", HOUR, 13, Frequency="every 90 minutes")
    store.deliver("Initiated", HOUR, 14, Frequency="One Time")
    before = json.loads(run("exports", "--json").stdout)

    configuration = tmp_path / "suggested.toml"
    configuration.write_text(run("doctor").stdout.partition("\n[[exports]]")[2].join(("[[exports]]", "")), "utf-8")
    checked = run("check-config", str(configuration))
    assert checked.exit_code == 0, checked.output
    assert "7 declared exports" in checked.stdout

    after = json.loads(run("exports", "--config", str(configuration), "--json").stdout)
    assert [each for each in after if not each["declared"]] == [each for each in before if not each["recurring"]]

    def known(states: list[dict[str, object]]) -> list[tuple[object, ...]]:
        names = ("partner", "data_type", "frequency", "interval", "initiated", "last_initiated")
        return sorted(tuple(str(state[name]) for name in names) for state in states)

    assert known(after) == known(before)
    assert "Declare these" not in run("doctor", "--config", str(configuration)).stdout


def test_a_suggested_name_is_not_one_that_is_taken(store: Store, tmp_path: Path) -> None:
    store.deliver("Initiated", HOUR)
    configuration = tmp_path / "dataexport.toml"
    configuration.write_text('[[exports]]\nname = "amazon-s3-events-4h"\nmatch = { request_id = "x" }\n', "utf-8")
    assert 'name = "amazon-s3-events-4h-2"' in run("doctor", "--config", str(configuration)).stdout


URL = "http://exporter.example:8080/webhooks/clevertap/shop"


def test_send_posts_what_clevertap_would(requests_mock: Mocker) -> None:
    requests_mock.post(URL, text='{"accepted":1}\n')
    options = ["--initiated", "--partner", "Google Cloud Storage", "--type", "Profiles", "--frequency", "One Time"]
    result = run("send", "--url", URL, *options, "--request-id", "1690283492", "--at", "2023-07-25T16:50:52")
    assert (result.exit_code, result.stdout) == (0, '200 {"accepted":1}\n')
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.json() == {
        "Export Request Id": 1690283492,
        "Partner": "Google Cloud Storage",
        "Type": "Profiles",
        "Status": "Initiated",
        "Frequency": "One Time",
        "Date and Time": "25/07/2023 4:50:52 PM",
    }
    assert requests_mock.last_request.headers["Content-Type"] == "application/json"
    assert "Authorization" not in requests_mock.last_request.headers
    assert requests_mock.last_request.timeout == 3


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-01-02T00:05:09", "02/01/2026 12:05:09 AM"),
        ("2026-12-31T12:00:00", "31/12/2026 12:00:00 PM"),
        ("2026-12-31T11:59:59", "31/12/2026 11:59:59 AM"),
    ],
)
def test_send_writes_the_twelve_hour_clock(requests_mock: Mocker, at: str, text: str) -> None:
    requests_mock.post(URL)
    assert run("send", "--url", URL, "--at", at).exit_code == 0
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.json()["Date and Time"] == text


def test_send_means_a_completed_event_now_unless_told_otherwise(requests_mock: Mocker) -> None:
    requests_mock.post(URL)
    before = time.time()
    assert run("send", "--url", URL, "--request-id", "a-7").exit_code == 0
    assert requests_mock.last_request is not None
    sent = requests_mock.last_request.json()
    assert (sent["Status"], sent["Export Request Id"]) == ("Completed", "a-7")
    assert sent["Date and Time"] in {vendor_clock(before + seconds) for seconds in range(60)}


def test_send_makes_the_test_call(requests_mock: Mocker) -> None:
    requests_mock.post(URL, text='{"test":true}')
    assert run("send", "--url", URL, "--test-call").stdout == '200 {"test":true}\n'
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.json()["is_test"] is True
    assert "Partner" not in requests_mock.last_request.json()


def test_send_shows_the_token_of_a_file(requests_mock: Mocker, tmp_path: Path) -> None:
    requests_mock.post(URL)
    (tmp_path / "token").write_text("secret\n", "utf-8")
    assert run("send", "--url", URL, "--token-file", str(tmp_path / "token")).exit_code == 0
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.headers["Authorization"] == "Bearer secret"


def test_send_fails_where_nobody_answers_in_time_or_not_with_200(requests_mock: Mocker) -> None:
    requests_mock.post(URL, exc=requests.exceptions.ReadTimeout("timed out"))
    assert said(run("send", "--url", URL), 1) == f"error: --url {URL}: no answer: timed out\n"
    requests_mock.post(URL, status_code=401, text='{"status": 401}')
    assert said(run("send", "--url", URL), 1) == 'error: 401 {"status": 401}\n'


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--at", "yesterday"),
        ("--url", "nonsense"),
        ("--token-file", "missing"),
        ("--token-file", "binary"),
        ("--token-file", "wide"),
    ],
)
def test_send_names_the_option_that_is_wrong(tmp_path: Path, option: str, value: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "wide").write_text("☃", "utf-8")
    sentence = said(run("send", option, value), 1)
    assert sentence.startswith(f"error: {option}")
    assert sentence.count("\n") == 1


def test_what_is_sent_arrives_at_a_running_exporter(tmp_path: Path) -> None:
    sources = '[[sources]]\nslug = "shop"\ntokens = ["right"]\n'
    (tmp_path / "right").write_text("right\n", "utf-8")
    with Exporter(tmp_path, sources) as exporter:
        options = ["send", "--url", f"{exporter.webhook_url}/webhooks/clevertap/shop"]
        refused = exporter.run(*options)
        assert (refused.returncode, refused.stderr[:10]) == (1, "error: 401")
        sent = exporter.run(*options, "--token-file", "right")
        assert (sent.returncode, sent.stdout[:5]) == (0, "200 {")
        assert exporter.value("dataexport_webhook_events_total", source="shop", status="completed") == 1
