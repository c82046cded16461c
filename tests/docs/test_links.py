"""What the documentation points to is there: files, headings, targets of the Makefile, benchmarks."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("findings/*.md")])
LONGEST_README = 180


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def links(page: Path) -> Iterator[str]:
    """The targets of links and pictures of a page, addresses of the web left out."""
    for block in tokens(page):
        for token in block.children or ():
            target = token.attrGet("href") or token.attrGet("src")
            if target and "://" not in str(target):
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them: `-1` is added to the second of one name."""
    blocks = tokens(page)
    titles = [after.content for block, after in itertools.pairwise(blocks) if block.type == "heading_open"]
    seen: Counter[str] = Counter()
    found = set()
    for title in titles:
        slug = re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).replace(" ", "-")
        found.add(slug if not seen[slug] else f"{slug}-{seen[slug]}")
        seen[slug] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_readme_is_one_that_one_reads():
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_every_page_is_at_most_two_clicks_from_the_readme():
    reached = {ROOT / "README.md"}
    for _ in range(2):
        reached |= {
            (page.parent / link.partition("#")[0]).resolve()
            for page in list(reached)
            for link in links(page)
            if link.partition("#")[0].endswith(".md")
        }
    assert {page for page in PAGES if page.parent.name != "findings"} <= reached


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_that_a_page_names_exist(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b(?=[ `\n])", "\n".join(code_of(page)))) <= targets
    for name in set(re.findall(r"python -m benchmarks\.([a-z]\w*)", text)):
        module = ROOT / "benchmarks" / name
        assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), name


def code_of(page: Path) -> Iterator[str]:
    """The code of a page: fenced blocks, and what stands between backquotes; a space after each, so that words end."""
    for block in tokens(page):
        if block.type == "fence":
            yield block.content
        for token in block.children or ():
            if token.type == "code_inline":
                yield f"{token.content} "


def test_files_of_the_code_that_the_pages_name_exist():
    missing = set()
    for page in PAGES:
        for code in code_of(page):
            for name in re.findall(r"(?<![\w/:.])((?:farm|tests|benchmarks)/[\w./-]*\w)", code):
                if not (ROOT / name).exists():
                    missing.add(f"{page.name}: {name}")
    assert not missing
