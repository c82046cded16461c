"""The shape of the code: no function is longer than a page, or takes more than one can keep in mind."""

import ast
from collections.abc import Iterator
from pathlib import Path

import farm

ROOT = Path(farm.__file__).parent
LONGEST = 60
MOST_PARAMETERS = 8


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether its parameters are the options of a command: it is decorated with `@app.command()` or the like."""
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in ("command", "callback")
        for decorator in function.decorator_list
    )


def test_no_function_is_longer_than_a_page():
    lengths = {where: (node.end_lineno or 0) - node.lineno + 1 for where, node in functions()}
    assert not {where: length for where, length in lengths.items() if length > LONGEST}


def test_no_function_takes_more_than_one_can_keep_in_mind():
    counts = {}
    for where, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
        if len(names) > MOST_PARAMETERS and not is_command(node):
            counts[where] = names
    assert not counts
