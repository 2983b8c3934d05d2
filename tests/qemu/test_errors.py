"""Errors of `kju` are one line with the next step, and leave existing files alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

from kju.cli.output import Exit
from kju.client.targets import running_names

pytestmark = pytest.mark.qemu

TCG = ("--", "-accel", "tcg")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    guests.invaders()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    yield tmp_path
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert running_names() == []


def refused(code: Exit, *words: object, **environment: str) -> str:
    """Run a command that fails, and return its one line of output."""
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", *map(str, words)],
        capture_output=True, text=True, timeout=HANG, check=False, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Errno" not in done.stderr
    return done.stderr


def run(code: Exit, *options: object, **environment: str) -> str:
    return refused(code, "run", "--detach", *options, guests.INVADERS, *TCG, **environment)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system with room for a megabyte and a few files."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root can mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=3,mode=700", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_error_for_an_unreadable_image() -> None:
    assert "no/such.img cannot be read" in refused(Exit.USAGE, "run", "no/such.img")
    assert "name a disk, an ISO or a kernel in it" in refused(Exit.USAGE, "run", ".")


def test_error_for_invalid_and_unknown_names(home: Path) -> None:
    assert "use up to 64 letters" in run(Exit.USAGE, "--name", "a/b")
    for words in (["info", "no"], ["stop", "no"], ["logs", "no"], ["screenshot", "no", "x"]):
        assert "no machine 'no' is running" in refused(Exit.NOT_FOUND, *words)
    assert not (home / "x").exists()


@pytest.mark.parametrize("what", ["text", "nothing", "folder", "link"])
def test_existing_file_that_is_not_a_surface_is_kept(home: Path, what: str) -> None:
    place, other = home / "screen", home / "other"
    other.write_text("mine")
    if what == "folder":
        place.mkdir()
    elif what == "link":
        place.symlink_to(other)
    else:
        place.write_text("mine" if what == "text" else "")
    before = place.lstat()
    line = run(Exit.USAGE, "--surface", place)
    assert "nothing was overwritten" in line
    assert str(place) in line
    after = place.lstat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns, after.st_mode) == (
        before.st_ino, before.st_size, before.st_mtime_ns, before.st_mode,
    )  # fmt: skip
    assert other.read_text() == "mine"


def test_error_for_a_surface_in_a_missing_folder() -> None:
    assert "make it first" in run(Exit.USAGE, "--surface", "no/folder/screen")


def test_error_for_a_surface_without_space(small: Path) -> None:
    line = run(Exit.LIMIT, "--surface", small / "screen")
    assert "no space for the surface" in line
    assert "bytes free" in line
    assert "choose another folder" in line
    assert not (small / "screen").exists()


def test_error_for_a_full_runtime_folder(small: Path) -> None:
    line = run(Exit.FAILURE, XDG_RUNTIME_DIR=str(small))
    assert "No space left on device; correct that, or set XDG_RUNTIME_DIR" in line
    assert {path.name for path in (small / "kju").iterdir()} <= {".lock"}


def test_error_without_a_runtime_folder(home: Path) -> None:
    (home / "taken").mkdir()
    (home / "taken/kju").write_text("mine")
    line = run(Exit.FAILURE, XDG_RUNTIME_DIR=str(home / "taken"))
    assert "set XDG_RUNTIME_DIR to a folder of yours" in line
    assert (home / "taken/kju").read_text() == "mine"


def test_launch_needs_no_temporary_folder() -> None:
    environment = os.environ | {"TMPDIR": "/no/such"}
    for words in (
        ["run", "--detach", "--name", "t", str(guests.INVADERS), *TCG],
        ["stop", "--now", "t"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "kju.cli", *words],
            capture_output=True, timeout=HANG, check=False, env=environment,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")


def test_error_shows_qemus_own_message(home: Path) -> None:
    disk = home / "disk.img"
    disk.write_bytes(b"x" * 512)
    for words, headline in (
        (["-device", "nonsense"], "-device nonsense: 'nonsense' is not a valid device model name"),
        (["-cpu", "nonsense"], "unable to find CPU model 'nonsense'"),
        (["-global", "x"], "-global x: "),
    ):
        line = refused(Exit.QEMU, "run", "--detach", disk, *TCG, *words)
        assert f"QEMU ended with status 1: {headline}" in line
        assert "probing" not in line
        assert "raw" not in line
    line = refused(Exit.QEMU, "run", "--detach", disk, *TCG, "-M", "nonsense")
    assert 'does not start: unsupported machine type: "nonsense"; to list them: ' in line


def test_error_for_an_unusable_option_names_its_replacement(home: Path) -> None:
    line = refused(Exit.USAGE, "run", guests.INVADERS, *TCG, "-nographic")
    assert "kju serial NAME" in line
