"""A disk that is really full: a small tmpfs, with room for every number of pages in turn."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults import is_new, tree

from kju.cli import certificates
from kju.cli.machines import defined as commands
from kju.cli.output import Exit, code_of
from kju.errors import KjuError, UsageError
from kju.files import is_temporary, write_output
from kju.memory import SurfaceProducer
from kju.store import defining, definitions, running
from kju.store.machine_toml import Definition
from kju.store.paths import definitions_folder
from kju.store.snapshot_files import SnapshotFiles

PAGE = 4096
#: Pages of the file system; qemu-img writes 196 KiB for an empty disk.
PAGES = 256

libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={PAGES * PAGE},mode=0700".encode()
    if libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, options):
        pytest.skip(f"no file system can be mounted here: {os.strerror(ctypes.get_errno())}")
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_DATA_HOME", str(place))
    monkeypatch.setenv("KJU_TRUST", str(place / "trust"))
    try:
        yield place
    finally:
        libc.umount2(bytes(place), 2)


def fill(disk: Path, pages: int) -> Path:
    """Leave room for that many pages."""
    rest = disk / "filling"
    with rest.open("wb", buffering=0) as file:
        found = os.statvfs(disk)
        file.truncate(max(0, found.f_bavail - pages) * PAGE)
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bavail - pages) * PAGE)
    return rest


def at_every_fill(disk: Path, operation: Callable[[], object], step: int = 1) -> int:
    """Try with more and more room until success; return the number of failures."""
    old = tree(disk)
    saved = disk.with_name("saved")
    shutil.copytree(disk, saved)
    for pages in range(0, PAGES, step):
        rest = fill(disk, pages)
        try:
            operation()
        except KjuError as error:
            rest.unlink()
            now = tree(disk)
            assert now == old, f"with {pages} pages: {error}"
            assert str(disk) in str(error), error
            assert code_of(error) is not Exit.OK
        else:
            rest.unlink()
            new = tree(disk)
            assert is_new(new, old, new) and new != old
            assert not any(is_temporary(Path(name).name) for name in new)
            return pages // step
    raise AssertionError("it never succeeded")


def test_create_on_a_full_disk(disk: Path) -> None:
    defining.create("other", Definition())
    assert at_every_fill(disk, lambda: defining.create("web", Definition(), "1M"), 8) > 2


def test_a_limit_of_the_file_size_names_the_file(disk: Path) -> None:
    program = (
        "import resource, sys; from kju.client.launching import define\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try: define('web', disk='1M')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("QemuError") and "disk.qcow2" in done.stdout, done
    assert definitions.names() == [] and not list(definitions_folder().glob(".new*"))


def test_clone_on_a_full_disk(disk: Path) -> None:
    defining.create("web", Definition(), "1M")
    assert at_every_fill(disk, lambda: defining.clone("web", "leaf"), 8) > 2


def test_edit_on_a_full_disk(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i s/2/3/")
    defining.create("web", Definition(cpus=2))

    def operation() -> None:
        try:
            commands.edit_definition("web")
        except UsageError as error:  # of the editor, which had no room
            assert "ended with status" in str(error)
            text = definitions_folder() / "web" / definitions.EDITED
            text.unlink()
            raise

    assert at_every_fill(disk, operation)


def test_an_edit_without_room_and_one_with_room(
    disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The editor's text was empty, and the second edit took it for the definition."""
    made = defining.create("web", Definition(cpus=2))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "true")
    rest = fill(disk, 0)
    with pytest.raises(KjuError, match=r"machine\.toml\.edited cannot be written: No space left"):
        commands.edit_definition("web")
    assert sorted(path.name for path in made.folder.iterdir()) == ["machine.toml"]
    rest.unlink()
    commands.edit_definition("web")
    assert "web has not changed" in capsys.readouterr().out
    # An editor that cuts its text, and does not say so.
    monkeypatch.setenv("EDITOR", "truncate -s 90")
    with pytest.raises(UsageError, match="web has not changed; your text"):
        commands.edit_definition("web")
    monkeypatch.setenv("EDITOR", "true")
    commands.edit_definition("web")
    assert definitions.read("web").definition == made.definition


def test_certificates_on_a_full_disk(disk: Path) -> None:
    pytest.importorskip("cryptography")
    (disk / "trust").mkdir(mode=0o700)
    (disk / "trust" / ".lock").touch()
    assert at_every_fill(disk, lambda: certificates.authority("lab"))
    shutil.rmtree(disk.with_name("saved"))
    assert at_every_fill(disk, lambda: certificates.user("ann", str(disk / "ann")))


def test_snapshot_files_on_a_full_disk(disk: Path) -> None:
    (disk / "d.qcow2").touch()
    files = SnapshotFiles("", str(disk / "d.qcow2"))
    files.keep("other", b"", b"old")
    assert at_every_fill(disk, lambda: files.keep("clean", bytes(9000), b"{}\n" * 2000)) > 3


def test_claim_of_a_name_on_a_full_disk(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(disk))
    running.claim("first").release()
    made: list[running.Claim] = []
    assert at_every_fill(disk, lambda: made.append(running.claim("web")))
    made[0].release()
    assert running.names() == []


@pytest.mark.parametrize("name", ["screen.png", "new.png"])
def test_a_screenshot_without_room(disk: Path, tmp_path: Path, name: str) -> None:
    """The command ends with a code and a line that names the file, and an old file stays."""
    producer = SurfaceProducer.create(tmp_path / "surface", capacity=64 * 64 * 4)
    producer.set_mode(64, 64)
    (disk / "screen.png").write_bytes(b"an older picture")
    fill(disk, 0)
    before = tree(disk)
    words = ["screenshot", str(tmp_path / "surface"), str(disk / name)]
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", *words], capture_output=True, text=True, check=False
    )
    producer.close()
    assert done.returncode == Exit.FAILURE
    assert done.stderr == f"kju: {disk / name} cannot be written: No space left on device\n"
    assert tree(disk) == before


def test_an_output_keeps_the_old_file(disk: Path) -> None:
    (disk / "screen.png").write_bytes(b"an older picture")
    assert at_every_fill(disk, lambda: write_output(disk / "screen.png", bytes(20_000))) > 3
