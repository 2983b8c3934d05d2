"""The pages on the architecture name files that exist, and every folder of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kju

PACKAGE = Path(kju.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PAGES = [PAGE, *sorted((ROOT / "docs" / "architecture").glob("*.md"))]
#: A path in backticks: with a suffix of a source file, or a folder with a slash at its end.
NAMED = re.compile(r"`([a-z_][\w/]*(?:\.(?:py|c|h)|/))`")
#: A file and the names in it: ``path (`name`, `name`)``.
PLACED = re.compile(r"`([a-z_][\w/]*\.(?:py|c|h))` \(((?:`\w+`(?:, )?)+)\)")


def missing(text: str) -> list[str]:
    """Return the named paths that are neither below the root, nor in the package or the tests.

    A test or a fuzzer is named without its folder.
    """
    suites = {path.name for part in ("tests", "fuzz") for path in (ROOT / part).rglob("*.py")}
    return [
        name
        for name in NAMED.findall(text)
        if name not in suites and not any((top / name).exists() for top in (ROOT, PACKAGE))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_named_files_exist(page: Path) -> None:
    assert missing(page.read_text()) == []


def test_a_missing_file_is_found() -> None:
    text = "`cli/nothing.py`, `nothing/`, `csrc/nothing.c`; `keys/names.py`, `sources/display1/`"
    assert missing(text) == ["cli/nothing.py", "nothing/", "csrc/nothing.c"]


def misplaced(text: str) -> list[str]:
    """Return the names that the file named before them does not have."""
    found = []
    for file, names in PLACED.findall(text):
        code = next((top / file for top in (PACKAGE, ROOT) if (top / file).is_file()), None)
        words = set(re.findall(r"\w+", code.read_text())) if code is not None else set()
        found += [f"{name} in {file}" for name in re.findall(r"\w+", names) if name not in words]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_names_are_in_their_files(page: Path) -> None:
    assert misplaced(page.read_text()) == []


def test_a_name_in_another_file_is_found() -> None:
    text = "`cli/app.py` (`SECTIONS`), `cli/app.py` (`SECTIONS`, `ALIASES`), `no.py` (`SECTIONS`)"
    assert misplaced(text) == ["ALIASES in cli/app.py", "SECTIONS in no.py"]


def test_every_folder_is_described_and_drawn() -> None:
    text = PAGE.read_text()
    drawing = text.partition("```text\n")[2].partition("```")[0]
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for name in folders if not re.search(rf"^\| .*`{name}`", text, re.M)} == set()
    assert {name for name in folders if not re.search(rf"\b{name}\b", drawing)} == set()
