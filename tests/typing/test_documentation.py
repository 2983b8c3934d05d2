"""The Python of README.md and docs/ uses names, arguments and types that kju has."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support import documentation

import kju


def write(folder: Path) -> list[Path]:
    """Write the blocks of each page as one function, as later blocks use names of earlier ones."""
    found = []
    for page in documentation.pages():
        texts = [b.text for b in documentation.blocks(page) if b.language == "python"]
        if texts:
            body = textwrap.indent("\n".join(texts), "    ")
            path = folder / f"{page.stem.replace('-', '_')}.py"
            path.write_text(f"async def page() -> None:\n{body}")
            found.append(path)
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy remembers of kju, for all checks of this file."""
    return tmp_path_factory.mktemp("cache")


def check(folder: Path, cache: Path, *programs: Path) -> str:
    environment = os.environ | {"MYPYPATH": str(Path(kju.__file__).parent.parent)}
    if Path(kju.__file__).parent.parent.name == "site-packages":
        del environment["MYPYPATH"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--check-untyped-defs"),
            # Another check covers the package itself, with the stubs of its extras.
            "--follow-imports=silent",
            *("--cache-dir", str(cache), *map(str, programs)),
        ],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_examples_type_check(tmp_path: Path, cache: Path) -> None:
    programs = write(tmp_path)
    assert {path.stem for path in programs} >= {"README", "tutorial", "test_an_os", "index"}
    said = check(tmp_path, cache, *programs)
    assert said == f"Success: no issues found in {len(programs)} source files\n"


def test_unknown_name_in_an_example_is_an_error(tmp_path: Path, cache: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import kju\n\nmachine = kju.attach('a')\nmachine.screen.wait_words('a')\n")
    assert "wrong.py:4" in check(tmp_path, cache, wrong)
