"""What docstrings, comments and documents name exists, and calls that they show fit the signatures of today."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import farm

ROOT = Path(farm.__file__).parents[1]
PROSE = (".md", ".py", ".yaml", ".html", ".sh", ".toml")
DOTTED = re.compile(r"(?<![\w./-])farm(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)*(?:\.\w+)*")
NOT_OF_PYTHON = {"farm.flo", "farm.json", "farm.mp4", "farm.loss", "farm.seconds"}
"""Names of files, and paths of JSON keys, that look like those of modules."""


def files() -> Iterator[Path]:
    for folder in ("farm", "jobs", "benchmarks", "docs", "deploy", "tests"):
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in PROSE)
    yield from sorted(ROOT.glob("*.md"))
    yield ROOT / "pyproject.toml"


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers; of Python only comments and strings, as code is checked by imports."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            text = token.type == tokenize.STRING and "f" not in token.string.partition(token.string[-1])[0].lower()
            if text or token.type == tokenize.COMMENT:
                yield from enumerate(token.string.splitlines(), token.start[0])


def leads_somewhere(dotted: str) -> bool:
    """Whether a dotted name is a folder or a module of `farm`, or something that is defined in one."""
    parts = dotted.split(".")[1:]
    place = ROOT / "farm"
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if not parts:
        return True
    module = place / f"{parts[0]}.py"
    if module.exists():
        parts.pop(0)
    else:
        module = place / "__init__.py"
    return not parts or parts[0] in names_in(module)


def names_in(module: Path) -> set[str]:
    """What a module defines or imports at its top level."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())) if module.exists() else ():
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


def test_every_dotted_name_leads_somewhere():
    lost = []
    for path in files():
        for number, line in prose(path):
            for name in DOTTED.findall(line):
                if name not in NOT_OF_PYTHON and not leads_somewhere(name):
                    lost.append(f"{path.relative_to(ROOT)}:{number} {name}")
    assert not lost, "\n".join(lost)


def modules() -> list[str]:
    paths = (path for path in sorted((ROOT / "farm").rglob("*.py")) if path.name != "__main__.py")
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def usage(docstring: str) -> Iterator[ast.Call]:
    """The calls in the lines of a docstring that are statements of Python by themselves; `>>>` runs as a doctest."""
    lines = [re.sub(r"\s+->.*", "", line) for line in docstring.splitlines()]
    at = 0
    while at < len(lines):
        for stop in range(len(lines), at, -1) if lines[at].strip() else ():
            block = inspect.cleandoc("\n".join(lines[at:stop]))
            if "(" not in block or ">>>" in block:
                continue
            with_body = block if not block.rstrip().endswith(":") else f"{block}\n    pass"
            try:
                tree = ast.parse(with_body)
            except SyntaxError:
                continue
            yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            at = stop - 1
            break
        at += 1


def binds(function: object, call: ast.Call) -> str:
    """What is wrong with the arguments of a call that is shown, or nothing. `...` stands for any more of them."""
    given = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
    left_out = any(isinstance(argument, ast.Constant) and argument.value is ... for argument in given)
    incomplete = left_out or len(given) < len(call.args) or any(keyword.arg is None for keyword in call.keywords)
    positional = [argument for argument in given if not (isinstance(argument, ast.Constant) and argument.value is ...)]
    signature = inspect.signature(function)  # type: ignore[arg-type]
    try:
        bound = (signature.bind_partial if incomplete else signature.bind)(*positional, **keywords)
    except TypeError as error:
        return str(error)
    for name, argument in bound.arguments.items():
        if isinstance(argument, ast.Name) and argument.id != name and argument.id in signature.parameters:
            return f"{argument.id} is given as {name}"
    return ""


def shown_calls(name: str) -> Iterator[tuple[ast.Call, object]]:
    """The calls in a module's docstring whose function is one of the module's own."""
    module = importlib.import_module(name)
    for call in usage(module.__doc__ or ""):
        target: object = None
        if isinstance(call.func, ast.Name):
            target = vars(module).get(call.func.id)
        elif isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            owner = vars(module).get(call.func.value.id)
            target = getattr(owner, call.func.attr, None) if inspect.isclass(owner) else None
        if callable(target) and not isinstance(target, type(importlib)):
            yield call, target


@pytest.mark.parametrize("name", modules())
@pytest.mark.process
def test_calls_in_the_docstring_fit_the_signatures(name):
    wrong = [f"{ast.unparse(call)}: {said}" for call, target in shown_calls(name) if (said := binds(target, call))]
    assert not wrong, "\n".join(wrong)


def test_a_call_that_does_not_fit_is_seen():
    """The check itself: too many arguments, an unknown one, one that lacks."""

    def made(first: int, second: int, *, third: int = 0) -> None: ...

    shown = ["made(1, 2, 3)", "x = made(1, fourth=2)", "made(1)", "made(1, ...)", "made(second, first)"]
    text = "\n    ".join(["Prose (with brackets) first.\n", *shown])
    assert [bool(binds(made, call)) for call in usage(text)] == [True, True, True, False, True]
