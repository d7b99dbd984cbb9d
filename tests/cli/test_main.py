"""The command line as a whole: its help, its exit codes, and one sentence where a command fails."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from builders import HOUR, fields
from commands import Store, error_output, run
from exporter import __version__
from exporter.cli.main import COMMANDS, main
from monitoring import clean_environment
from ports import free_port
from running import COMMAND, Exporter

FREE_PORTS = {
    "DATAEXPORT_WEBHOOK_LISTEN": f"127.0.0.1:{free_port()}",
    "DATAEXPORT_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
}
READERS = ("exports", "events", "sources", "quarantine", "doctor")


pytestmark = pytest.mark.usefixtures("in_a_folder")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_of_every_command_has_an_example(command: tuple[str, ...], flag: str) -> None:
    result = run(*command, flag)
    assert result.exit_code == 0
    assert re.search(r"Examples?:\n +dataexport-exporter ", result.stdout)


def test_the_version_is_told() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"dataexport-exporter, version {__version__}\n")


def test_windows_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only here: the platform of the whole process would mislead its other threads, and what is imported meanwhile.
    windows = SimpleNamespace(platform="win32", stdout=sys.stdout, stderr=sys.stderr, exit=sys.exit)
    monkeypatch.setattr("exporter.cli.main.sys", windows)
    with pytest.raises(SystemExit, match="runs on Linux and macOS; on Windows, use a container or WSL"):
        main(["--version"])


def test_the_kernel_ends_a_command_and_not_the_exporter_if_memory_runs_out() -> None:
    """As `docker exec … doctor` did with an exporter that had 96 MB."""
    score = Path("/proc/self/oom_score_adj")
    before = score.read_text("ascii")
    assert run("rules").exit_code == 0
    assert score.read_text("ascii") == "1000\n"
    if os.geteuid() == 0:
        score.write_text(before, "ascii")


def test_a_command_that_does_not_exist_is_wrong_usage() -> None:
    unlike = error_output(run("nonsense"), 2)
    assert "no such command: nonsense; `dataexport-exporter --help` lists the commands" in unlike
    for typo, command in (("serv", "serve"), ("export", "exports"), ("check-conf", "check-config")):
        assert f"no such command: {typo}; did you mean {command}?" in error_output(run(typo), 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--serve",), "no such option: --serve; the options here are --version, --help"),
        (("mutes", "--jso"), "no such option: --jso; did you mean --json?"),
        (("check-config", "--nothing"), "no such option: --nothing; the options here are --config, --help"),
        (("mute", "--for", "1h"), "--why is missing: The reason, recorded and shown."),
        (("redate", "--ahead", "1h"), "Missing argument 'BOOT'"),
        (("events", "--limit", "abc"), "'--limit': 'abc': give a whole number from 1 to 100000"),
        (("events", "--limit", "0"), "'--limit': '0': give a whole number from 1 to 100000"),
        (("redate", "first"), "'BOOT': 'first': give a whole number"),
        (("simulate", "--late", "half"), "'--late': 'half': give a number from 0 to 1"),
        (("simulate", "--late", "nan"), "'--late': 'nan': give a number from 0 to 1"),
        (("simulate", "--days", "0"), "'--days': '0': give a number above 0, up to 3660"),
        (("simulate", "--speed", "-1"), "'--speed': '-1': give a number of at least 0"),
    ],
)
def test_a_wrong_option_or_argument_is_wrong_usage(arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in error_output(run(*arguments), 2)


def test_check_config_says_that_a_file_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "fine.toml"
    path.write_text('[[sources]]\nslug = "a"\n[[sources]]\nslug = "b"\n', "utf-8")
    result = run("check-config", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{path}: fine, 2 sources, 0 declared exports\n")


def test_check_config_says_every_problem_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('[log]\nlevel = "loud"\n[[sources]]\nslug = "A"\n', "utf-8")
    lines = error_output(run("check-config", str(path)), 2).splitlines()
    assert [line.startswith(f"{path}: ") for line in lines] == [True, True]
    assert "cannot be read" in error_output(run("check-config", str(tmp_path / "missing")), 2)
    assert "cannot be read" in error_output(run("check-config", str(tmp_path)), 2)


@pytest.mark.parametrize("command", [*READERS, "serve"])
def test_a_wrong_configuration_is_exit_code_2(command: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[server", "utf-8")
    for result in (run(command, "--config", str(path)), run(command, DATAEXPORT_CONFIG=str(path))):
        assert error_output(result, 2).startswith(f"{path}: is not TOML")


@pytest.mark.parametrize("command", READERS)
def test_a_command_that_only_looks_makes_no_database(command: str, tmp_path: Path) -> None:
    sentence = error_output(run(command), 1)
    assert sentence.startswith(
        f"error: store.url: there is no database at {tmp_path}/dataexport.db; start the exporter"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*READERS, "serve"])
def test_a_file_that_is_no_database_is_refused_in_one_sentence(command: str, tmp_path: Path) -> None:
    (tmp_path / "dataexport.db").write_bytes(b"this is no database" * 1000)
    sentence = error_output(run(command, DATAEXPORT_LOG_LEVEL="error"), 1)
    assert re.fullmatch(r"error: store\.url: .* is not a database of SQLite; give another path\n", sentence)


@pytest.mark.parametrize("command", [*READERS, "serve"])
def test_a_database_of_a_newer_release_is_refused_in_one_sentence(command: str, store: Store) -> None:
    store.ledger.close()
    database = sqlite3.connect(store.path)
    database.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    database.commit()
    database.close()
    sentence = error_output(run(command, DATAEXPORT_LOG_LEVEL="error"), 1)
    assert sentence.startswith("error: a newer release of dataexport-exporter wrote this database")
    assert sentence.count("\n") == 1


def test_a_folder_that_is_not_there_is_refused_in_one_sentence() -> None:
    result = run("serve", DATAEXPORT_STORE_URL="sqlite:////nowhere/at/all.db", DATAEXPORT_LOG_LEVEL="error")
    assert error_output(result, 1).startswith("error: DATAEXPORT_STORE_URL: there is no folder /nowhere/at for the d")


def test_an_address_or_a_store_that_is_taken_is_refused_in_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Exporter(tmp_path) as exporter:
        for setting in ("webhook_listen", "admin_listen"):
            variable = f"DATAEXPORT_{setting.upper()}"
            taken = exporter.environment[variable]
            other_store = f"sqlite:///{tmp_path}/other/new.db"
            result = run("serve", **{**FREE_PORTS, "DATAEXPORT_STORE_URL": other_store, variable: taken})
            expected = rf"error: {variable}: cannot listen on {taken} \(Address already in use\): .*\n"
            assert re.fullmatch(expected, error_output(result, 1))
            assert list((tmp_path / "other").iterdir()) == []
        sentence = error_output(run("serve"), 1)
        expected = (
            rf"error: store\.url: process {exporter.pid} on \S+ serves {tmp_path}/dataexport\.db already; stop .*\n"
        )
        assert re.fullmatch(expected, sentence)


def test_an_admin_listener_open_to_everyone_is_refused() -> None:
    result = run("serve", DATAEXPORT_ADMIN_LISTEN="0.0.0.0:1")
    assert "DATAEXPORT_ADMIN_LISTEN: 0.0.0.0:1 is not loopback" in error_output(result, 2)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_what_a_terminal_cannot_show_is_no_traceback(store: Store, encoding: str) -> None:
    store.deliver("Initiated", HOUR, "r\u00e9f", Partner="\u00fcn\u00ef \U0001f680")
    for command in (("exports",), ("exports", "--json"), ("events",), ("events", "--for-replay"), ("doctor",)):
        result = CliRunner(charset=encoding).invoke(main, command)
        assert (result.exit_code, result.exception) == (0, None), result.output
    shown = CliRunner(charset=encoding).invoke(main, ("exports",)).stdout_bytes
    assert (rb"\U0001f680" in shown) == (encoding != "ascii")  # click writes UTF-8 where the encoding is ASCII
    mute = ("mute", "--partner", "\u00e9\udcff", "--for", "1h", "--why", "x")
    assert "no export matches" in error_output(CliRunner(charset=encoding).invoke(main, mute), 1)


def test_the_output_need_not_be_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    output = StringIO()
    monkeypatch.setattr("sys.stdout", output)
    main(["--version"], standalone_mode=False)
    assert __version__ in output.getvalue()


def test_a_reader_that_goes_away_is_no_traceback(store: Store) -> None:
    store.take(json.dumps([fields(request_id=f"\u00e9 {number}") for number in range(300)]).encode())
    store.ledger.close()
    for environment in ({"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}):
        with subprocess.Popen(
            [COMMAND, "events", "--limit", "300"],
            env=clean_environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == ""
