"""The help of every command: it exits with 0, reads as sentences, and shows only the names of today."""

from __future__ import annotations

import sys

import pytest
from typer.main import get_command

from farm.cli.arguments import OLD_SPELLINGS
from farm.cli.main import app, main


def commands(command=None, words=()):
    """Every command and group, by the words that call it."""
    command = command or get_command(app)
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


COMMANDS = dict(commands())
IDS = ["farm " + " ".join(words) for words in COMMANDS]
TEXTS = [
    pytest.param(parameter.help, id=f"{' '.join(words)} {parameter.name}")
    for words, command in COMMANDS.items()
    for parameter in command.params
]


@pytest.mark.parametrize("words", COMMANDS, ids=IDS)
def test_help_of_every_command(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["farm", *words, "--help"])
    main()
    printed = capsys.readouterr()
    assert printed.err == ""
    assert summary(COMMANDS[words]) in printed.out
    assert not [old for old in OLD_SPELLINGS if f"{old} " in printed.out]


def summary(command):
    return command.help.split("\n\n")[0]


@pytest.mark.parametrize("words", COMMANDS, ids=IDS)
def test_a_summary_is_one_line_that_ends_in_a_full_stop(words):
    line = summary(COMMANDS[words])
    assert line.endswith(".")
    assert line[0].isupper()
    assert "\n" not in line
    assert len(line) <= 100


@pytest.mark.parametrize("text", TEXTS)
def test_the_help_of_an_option_is_a_sentence(text):
    assert text
    assert text[0].isupper()
    assert text.endswith(".")
