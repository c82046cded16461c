"""The reference of the command line, docs/cli.md, from the commands themselves.

    python -m farm.cli.reference > docs/cli.md       # or: make docs

The text depends on the commands alone: neither on the width of the terminal nor on the environment.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from farm.cli.fields import bare_type
from farm.cli.main import app

MEND = "make docs"
"""Command that writes docs/cli.md anew."""

INTRODUCTION = f"""# Commands

<!-- This file is written by `{MEND}` from the commands themselves; do not edit it. -->

An option that is left out has the default of its table. `render`, `plan`, `submit`, `preview` and `bench` also read
options from a YAML file (`--spec`), whose fields `farm schema` describes; options on the command line override it.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or bad input, 3 cancelled, 4 timed out. `farm --version` prints the
version and the commit.
"""

KINDS = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}
"""What the tables call a value of a type."""


def reference() -> str:
    """All commands as Markdown: a list of them, and for each its help, usage, arguments and options."""
    commands = list(_commands(get_command(app), "farm"))
    summaries = [f"- [`{name}`](#{name.replace(' ', '-')}): {_summary(command)}" for name, command in commands]
    sections = [_section(name, command) for name, command in commands]
    return "\n".join([INTRODUCTION, *summaries, "", "\n".join(sections)])


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command below `command` that can be run, with its full name, in the order of the help."""
    for part, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _commands(inner, f"{name} {part}")
    if not hasattr(command, "commands"):
        yield name, command


def _summary(command: Any) -> str:
    return " ".join(command.help.split("\n\n")[0].split())


def _section(name: str, command: Any) -> str:
    types = {
        parameter.name: bare_type(parameter.annotation)
        for parameter in inspect.signature(command.callback, eval_str=True).parameters.values()
    }
    visible = [(parameter, _value(parameter, types)) for parameter in command.params if not parameter.hidden]
    arguments = [(parameter, value) for parameter, value in visible if parameter.param_type_name == "argument"]
    options = [(parameter, value) for parameter, value in visible if parameter.param_type_name == "option"]
    words = [value if argument.required else f"[{value}]" for argument, value in arguments]
    paragraphs = [" ".join(paragraph.split()) for paragraph in command.help.split("\n\n")]
    lines = [f"## {name}", "", "\n\n".join(paragraphs), "", "```", " ".join([name, *words, "[OPTIONS]"]), "```", ""]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| {_code(value)} | {_cell(argument.help)} |" for argument, value in arguments]
        lines.append("")
    if options:
        lines += ["| option | default | meaning |", "|---|---|---|"]
        lines += [
            f"| {_names(option, value)} | {_default(option)} | {_cell(option.help)} |" for option, value in options
        ]
        lines.append("")
    return "\n".join(lines)


def _names(option: Any, value: str) -> str:
    """Every name of an option, the last with its value: `--output`, `-o OUT`."""
    names = [*option.opts, *option.secondary_opts]
    if value:
        names[-1] += f" {value}"
    return ", ".join(map(_code, names))


def _value(parameter: Any, types: dict[str, Any]) -> str:
    """What stands for the value: the form that the command names, the words to choose from, or the type.

    Empty for a flag. The type is that of the command's signature, because Typer keeps it in another place in each of
    its versions.
    """
    kind = types[parameter.name]
    if parameter.metavar or kind is bool:
        return parameter.metavar or ""
    return "|".join(get_args(kind)) if get_origin(kind) is Literal else KINDS[kind]


def _default(option: Any) -> str:
    """The default that the help shows, and `required` for an option that has none."""
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return _code(option.show_default)
    if option.default is None or option.default is False:
        return ""
    return _code(option.opts[0] if option.default is True else str(option.default))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
