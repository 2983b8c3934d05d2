"""Old C modules in a checkout are noticed when kju is imported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kju
from kju import checkout

PACKAGE = Path(kju.__file__).parent
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another checkout's root, with the same C sources."""
    for folder in ("csrc", "include"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def test_modules_of_the_same_sources_are_accepted(other: Path) -> None:
    assert checkout.stale_modules(PACKAGE, other) == []


@pytest.mark.parametrize("change", ["csrc/scan.c", "csrc/python.h", "include/kju/surface.h"])
def test_a_changed_source_is_noticed(other: Path, change: str) -> None:
    with (other / change).open("a") as file:
        file.write("/* another line */\n")
    assert checkout.stale_modules(PACKAGE, other) == list(checkout.MODULES)


def test_a_renamed_source_is_noticed(other: Path) -> None:
    (other / "csrc" / "scan.h").rename(other / "csrc" / "scanning.h")
    assert checkout.stale_modules(PACKAGE, other) == list(checkout.MODULES)


def test_other_files_do_not_count(other: Path) -> None:
    (other / "csrc" / "scan.c~").write_text("")
    assert checkout.stale_modules(PACKAGE, other) == []


def test_a_module_without_a_digest_is_noticed(other: Path) -> None:
    package = other / "src" / "kju"
    for name in checkout.MODULES:
        (package / name).parent.mkdir(parents=True)
        shutil.copy(PACKAGE / f"{name}.abi3.so", package / f"{name}.abi3.so")
    old = package / "wire" / "_wire.abi3.so"
    old.write_bytes(b"\x7fELF, compiled before modules had a digest")
    assert checkout.stale_modules(package, other) == ["wire/_wire"]


def test_a_missing_module_is_left_to_the_import_system(other: Path) -> None:
    assert checkout.stale_modules(other / "src" / "kju", other) == []


def test_importing_kju_says_how_to_compile_the_modules(other: Path) -> None:
    package = other / "src" / "kju"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "include"))
    with (other / "csrc" / "scan.c").open("a") as file:
        file.write("/* another line */\n")
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import kju"]
    done = subprocess.run([*command, str(package.parent)], capture_output=True, text=True)
    assert done.returncode == 1
    expected = f"run {other}/tools/dev"
    assert done.stderr.strip().endswith(expected), done.stderr
    assert "surface/_core, wire/_wire, memory/_system" in done.stderr


def test_the_modules_are_all_that_are_compiled() -> None:
    built = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.abi3.so")}
    assert built == {f"{name}.abi3.so" for name in checkout.MODULES}
