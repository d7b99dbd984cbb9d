"""The check of the prose finds each phrase to avoid, and leaves code and similar words alone."""

from __future__ import annotations

import pytest

from check_prose import only_strings, problems, read_phrases, without_code
from monitoring import ROOT

PHRASES = read_phrases((ROOT / "scripts" / "phrases.txt").read_text("utf-8"))


@pytest.mark.parametrize(
    "sentence",
    [
        "Put a backup in the place of the store.",
        "A wrong zone is said in the log.",
        "The counter is told of failures.",
        "The log tells where the file is.",
        "Alerts hold their tongue.",
        "It is mended.",
        "Bodies that were not understood",
        "A wrong file is not taken.",
        "The old one still stands.",
        "The new setting does not hold.",
        "Killed, it goes on.",
        "It takes some 5 ms.",
        "Where it cannot be had, it is skipped.",
        "It starts. Who fails ten times is refused.",
        "Whoever has a token can write.",
        "It returns by itself.",
        "Meanwhile nothing is stored.",
        "the so-manieth from the right",
        "the arrival of then",
        "Most exports are late.",
        "Give the file in place of the address.",
        "The ledger is filled and told by the command.",
        "The list shows what is there.",
        "The file is there already.",
        "This text is no date.",
        "It seldom fails.",
        "It stays open for ever.",
        "A time that lies in the future",
    ],
)
def test_a_phrase_to_avoid_is_found(sentence: str) -> None:
    assert list(problems(sentence, PHRASES))


@pytest.mark.parametrize(
    "sentence",
    [
        "The command lists the options that tell them apart.",
        "Where and as whom to run commands",
        "Where does it run, and why?",
        "Who is responsible, shown in alerts.",
        "Use `replay` instead.",
        "It recommends a schedule.",
        "Some exports share a series.",
        "A lock is taken over by the next process.",
        "Understood exports and 5 ms",
        "A slot is late or missed.",
        "There is no file, and it is no longer used.",
        "The two cannot be told from each other.",
    ],
)
def test_plain_words_are_left_alone(sentence: str) -> None:
    assert list(problems(sentence, PHRASES)) == []


def test_code_is_not_looked_at_and_lines_keep_their_numbers() -> None:
    page = "It runs `by itself`.\n```console\n$ echo meanwhile\n```\nIt mends the file."
    assert list(problems(without_code(page), PHRASES)) == [(5, "'mends'; write: fix")]


def test_strings_of_python_are_looked_at_and_names_are_not() -> None:
    source = 'def mend() -> str:\n    """Repair.\n\n    It mends the file.\n    """\n    return f"{mend()} goes on"\n'
    found = list(problems(only_strings(source), PHRASES))
    assert found == [(4, "'mends'; write: fix"), (6, "'goes on'; write: continues, resumes")]
