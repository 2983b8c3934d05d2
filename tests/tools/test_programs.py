"""Programs and lists beside the package follow its renames: benchmarks, fuzz, long test files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import longest

ROOT = Path(__file__).resolve().parents[2]
#: Imports modules by name; of the peers of a comparison, some may not be installed.
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("asyncvnc", "vncdotool"):
            raise
"""


def import_all(folder: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def module_names(folder: Path, above: Path) -> list[str]:
    parts = [path.relative_to(above).with_suffix("").parts for path in folder.rglob("*.py")]
    return sorted(".".join(each) for each in parts if each[-1] not in ("__init__", "__main__"))


@pytest.mark.parametrize(("folder", "above"), [("benchmarks", "."), ("fuzz", "fuzz")])
def test_every_module_can_be_imported(folder: str, above: str) -> None:
    names = module_names(ROOT / folder, ROOT / above)
    assert len(names) > 5
    done = import_all(ROOT / above, names)
    assert done.returncode == 0, done.stderr


def test_import_of_a_missing_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("from kju.memory import missing_name\n")
    done = import_all(tmp_path, module_names(tmp_path, tmp_path))
    assert "missing_name" in done.stderr and done.returncode


def test_longest_test_files_exist() -> None:
    assert [name for name in longest.SECONDS if not (longest.TESTS / name).exists()] == []
    assert longest.seconds(longest.TESTS / "qemu" / "test_cli.py") > 0
    assert longest.seconds(Path(__file__).parent / "test_new.py") == 0
