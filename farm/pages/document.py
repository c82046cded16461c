"""The templates of all pages, and what a browser may do with a page: run its own script, load nothing from elsewhere.

html = ENVIRONMENT.get_template("page.html").render(..., policy=content_policy(script, live=False))
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from farm.spec.units import format_seconds


def asset(name: str) -> Markup:
    """A file of templates/ as it is. It is part of the farm, so it is not escaped."""
    return Markup((Path(__file__).parent / "templates" / name).read_text())  # noqa: S704


def is_page(path: Path, generator: str) -> bool:
    """Whether there is an earlier page of the command `generator`, such as `farm report`, which may be replaced."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return f'name="generator" content="{generator}"'.encode() in file.read(4096)
    return False


def content_policy(script: str, *, live: bool) -> str:
    """The page's Content-Security-Policy: run its one script, show what it carries, and load nothing else.

    A `live` page may also load pictures from its own server and connect to it.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    images, connections = ("'self' data:", "'self'") if live else ("data:", "'none'")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src {images}; "
        f"connect-src {connections}; base-uri 'none'; form-action 'none'"
    )


def _short(value: float | None, digits: int = 3) -> str:
    """1234567 as 1.23M; a dash for None."""
    if value is None:
        return "–"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.{digits}g}{unit}"
    return f"{value:.{digits}g}"


def _bytes(value: float) -> str:
    for limit, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f} bytes"


ENVIRONMENT = Environment(
    loader=PackageLoader("farm.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
"""Jinja with the templates of this folder, and the filters short, duration and filesize."""
ENVIRONMENT.filters |= {"short": _short, "duration": format_seconds, "filesize": _bytes}
