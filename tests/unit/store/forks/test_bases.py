"""Bases: reserve, freeze, find, check and release."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.forks import BUILD, HEADER, MEMORY, facts, folders, freeze, make_disk

from kju.errors import ClosedError, ForkError, LimitError
from kju.store.forks import places
from kju.store.forks.bases import Base, BaseFiles, find, open_base, sweep_forks
from kju.store.forks.overlays import ForkDisks

needs_qemu_img = pytest.mark.skipif(
    not shutil.which("qemu-img"), reason="qemu-img is not installed"
)


def killed(base: Base) -> None:
    """Release the locks as the kernel does at SIGKILL."""
    for held in (base._held, *base._below):
        os.close(held._fd)
        held._fd = -1
    base._below.clear()


def test_a_base_is_found_by_name_and_tag(roots: Path) -> None:
    first, second = freeze("one"), freeze("two")
    assert (first.facts.tag, first.state.stat().st_mode & 0o777) == ("one", 0o400)
    with find("web", "one") as found, find("web") as newest, open_base(first.id) as same:
        assert found.id == same.id == first.id and newest.id == second.id
        for each in (found, newest, same):
            each.check(BUILD)
    first.release()
    second.release()
    assert folders(roots) == []


def test_the_newest_of_one_tag_is_found() -> None:
    old, new = freeze(), freeze()
    with find("web", "ready") as found:
        assert found.id == new.id
    old.release()
    new.release()


def test_a_missing_base_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(ForkError, match="web has no base; freeze it: kju freeze web TAG"):
        find("web")
    with freeze("one"), freeze("two"):
        with pytest.raises(ForkError, match="web has no base 'three'; its bases are: one, two"):
            find("web", "three")
        with pytest.raises(ForkError, match="shop has no base 'one'"):
            find("shop", "one")
    for name in ("01234567-0123456789abcdef", "../../etc", "", "web"):
        with pytest.raises(ForkError, match="does not exist any more"):
            open_base(name)


def test_a_base_lives_until_its_last_user(roots: Path) -> None:
    base = freeze()
    other = open_base(base.id)
    base.release()
    base.release()
    other.check(BUILD)
    assert sweep_forks() == []
    other.release()
    assert folders(roots) == []
    with pytest.raises(ClosedError):
        other.check(BUILD)


def test_the_base_of_a_killed_process_is_removed_by_the_next_command(roots: Path) -> None:
    base = freeze()
    killed(base)
    assert [path.name for path in sweep_forks()] == [base.id]
    assert folders(roots) == []


def test_a_freeze_that_was_not_finished_is_not_found(roots: Path) -> None:
    files = BaseFiles.reserve(MEMORY)
    assert files.state.read_bytes() == b"" and files.state.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ForkError, match="no base"):
        find("web")
    files.release()
    files.release()
    assert folders(roots) == []
    with pytest.raises(ForkError, match="used up"):
        files.freeze(facts(), ForkDisks.own("web", []))


def test_the_state_is_read_and_cleared_in_place() -> None:
    files = BaseFiles.reserve(MEMORY)
    files.state.write_bytes(b"0123456789")
    inode = files.state.stat().st_ino
    files.clear(2, 3)
    assert files.read(0, 100) == b"01\0\0\x0056789" and files.read(8, 1) == b"8"
    assert files.state.stat().st_ino == inode
    files.release()


def test_a_state_that_is_too_short_is_refused(roots: Path) -> None:
    disks = ForkDisks.own("web", [])
    disks.extend()
    files = BaseFiles.reserve(MEMORY)
    files.state.write_bytes(bytes(HEADER + MEMORY - 1))
    with pytest.raises(ForkError, match=f"wrote {HEADER + MEMORY - 1} bytes of state for web"):
        files.freeze(facts(), disks)
    files.release()
    assert folders(roots) == []


def cut(path: Path) -> None:
    os.truncate(path, HEADER)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.rename(path)


def alter(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x")


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (cut, f"was cut short: it has {HEADER} bytes of {HEADER + MEMORY}"),
        (replace, "was replaced by another file"),
        (alter, "was changed"),
        (Path.unlink, "is missing"),
    ],
)
def test_a_damaged_base_is_refused(change: Callable[[Path], None], how: str) -> None:
    with freeze() as base:
        base.state.chmod(0o600)
        change(base.state)
        with pytest.raises(ForkError) as error:
            base.check(BUILD)
        assert str(error.value) == (
            f"the base ready of web cannot be used: {base.state} {how}; freeze a machine again:"
            " kju freeze web ready"
        )
        assert error.value.name == "web"


def test_a_state_that_the_guest_of_a_fork_reads_is_unchanged(roots: Path) -> None:
    with freeze() as base:
        base.state.read_bytes()
        (roots / "copy").write_bytes(base.state.read_bytes())
        base.check(BUILD)


def test_another_qemu_is_refused() -> None:
    with freeze() as base, pytest.raises(ForkError, match="was made by QEMU 10, and the QEMU"):
        base.check("QEMU 11")


def test_a_damaged_description_is_refused(roots: Path) -> None:
    base = freeze()
    file = base.state.with_name("base.json")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ForkError, match=r"base\.json is damaged .*freeze the machine again"):
        open_base(base.id)
    with pytest.raises(ForkError, match="has no base"):
        find("web")
    base.release()
    assert folders(roots) == []


@needs_qemu_img
def test_a_changed_disk_is_refused(roots: Path) -> None:
    disk = make_disk(roots / "disk.qcow2")
    disks = ForkDisks.own("web", [(str(disk), "")])
    base = freeze(disks=disks)
    base.check(BUILD)
    disk.chmod(0o600)
    os.link(disk, roots / "second-name")
    base.check(BUILD)
    alter(disk)
    with pytest.raises(ForkError, match=r"disk\.qcow2 was changed; freeze"):
        base.check(BUILD)
    base.release()


@needs_qemu_img
def test_a_base_without_its_overlays_is_refused(roots: Path) -> None:
    disks = ForkDisks.own("web", [(str(make_disk(roots / "disk.qcow2")), "")])
    base = freeze(disks=disks)
    with base:
        shutil.rmtree(disks.paths[0].parent)
        with pytest.raises(ForkError, match=r"the base ready of web cannot be used: .*freeze"):
            open_base(base.id)


@needs_qemu_img
def test_a_second_freeze_leaves_the_first_base_as_it_is(roots: Path) -> None:
    disks = ForkDisks.own("web", [(str(make_disk(roots / "disk.qcow2")), "")])
    one = freeze("one", disks=disks)
    two = freeze("two", disks=disks)
    three = freeze("three", disks=disks)
    for base in (one, two, three):
        base.check(BUILD)
        base.release()
    disks.release()


def test_a_full_tmpfs_is_an_error_and_leaves_nothing(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = places.space(roots).total
    with pytest.raises(LimitError, match=r"needs .* MiB in .*, where .* MiB are free"):
        BaseFiles.reserve(total - places.MARGIN)
    assert folders(roots) == []
