"""The generator of the blocking half of the Python API."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tools/generate_sync.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_sync", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("async def f() -> int:\n    return await g()\n", "def f() -> int:\n    return g()\n"),
        ("async with a() as b:\n    pass\n", "with a() as b:\n    pass\n"),
        ("async for a in b:\n    pass\n", "for a in b:\n    pass\n"),
        ("x = [await f(a) for a in b]\n", "x = [f(a) for a in b]\n"),
        ("x = (await f(a)).value\n", "x = f(a).value\n"),
        ("return (await f()).value\n", "return f().value\n"),
        ("x = g((await f(a)).value)\n", "x = g(f(a).value)\n"),
        ("g(await f(a)).value\n", "g(f(a)).value\n"),
        ("async def __aenter__(self): ...\n", "def __enter__(self): ...\n"),
        ("a: AsyncIterator[int]\n", "a: Iterator[int]\n"),
        ("from ...errors import A\n", "from ..errors import A\n"),
        ("from ..link import A\n", "from .link import A\n"),
        ("from .. import a\n", "from . import a\n"),
        ("from .link import AsyncLink\n", "from .link import Link\n"),
        ('"""Texts may say await and async."""\n', '"""Texts may say await and async."""\n'),
        ("asynchronous = awaited\n", "asynchronous = awaited\n"),
    ],
)
def test_a_statement_is_converted(tool: ModuleType, source: str, expected: str) -> None:
    assert tool.converted(source, set()) == expected


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "tools/generate_sync.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path, tool: ModuleType) -> Path:
    """Both halves, the generator, and the settings of ruff."""
    for path in ("pyproject.toml", "tools/generate_sync.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for folder in tool.MODULES:
        shutil.copytree(ROOT / "src/kju" / folder, tmp_path / "src/kju" / folder)
    return tmp_path


def test_the_checked_in_half_is_current() -> None:
    done = run(ROOT, "--check")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_changed_half_is_found_and_written_again(checkout: Path) -> None:
    path = checkout / "src/kju/client/surface.py"
    before = path.read_text()
    path.write_text(before.replace("self._next_change(mark", "self._next_change(since"))
    done = run(checkout, "--check")
    assert done.returncode == 1
    assert "src/kju/client/surface.py is out of date" in done.stdout
    assert run(checkout).returncode == 0
    assert path.read_text() == before


def test_a_phrase_of_no_use_is_an_error(checkout: Path) -> None:
    path = checkout / "src/kju/client/aio/machine.py"
    path.write_text(path.read_text().replace("begins when the first event is awaited", "begins"))
    done = run(checkout, "--check")
    assert done.returncode == 1
    assert "begins when the first event is awaited" in done.stderr
