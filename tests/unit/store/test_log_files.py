"""Logs that stay small, and those that outlive their machine."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from kju.emulators.child import Output
from kju.store import log_files, running
from kju.store.log_files import BoundedLog, LogHandler
from kju.store.paths import kept_logs_folder


def test_a_log_keeps_the_newest_and_no_more_than_two_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = BoundedLog(path, limit=1000)
    for number in range(1000):
        log.write(b"line %d\n" % number)
        assert sum(part.stat().st_size for part in log_files.parts(path)) <= 2000
    log.close()
    log.write(b"nobody reads this")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1"]
    assert path.stat().st_mode & 0o777 == 0o600
    text = log_files.read(path).decode()
    assert text.endswith("line 998\nline 999\n")
    assert "earlier lines are in log.1" in text
    assert "line 1\n" not in text
    assert log_files.tail(path, 2) == ["line 998", "line 999"]


@pytest.mark.parametrize("count", [0, 1, 100, 150, 200, 1000])
def test_a_log_is_replaced_by_the_last_lines_that_fit(tmp_path: Path, count: int) -> None:
    path = tmp_path / "log"
    log = BoundedLog(path, limit=1000, note="")
    for number in range(150):
        log.write(b"old %05d\n" % number)
    new = [b"new %05d\n" % number for number in range(count)]
    log.replace(b"".join(new))
    assert log_files.read(path).splitlines(keepends=True) == new[-200:]
    assert all(part.stat().st_size <= 1000 for part in log_files.parts(path))
    assert all(part.stat().st_mode & 0o777 == 0o600 for part in log_files.parts(path))
    log.write(b"newer 123\n")
    assert log_files.read(path).endswith(b"newer 123\n")
    log.close()
    log.replace(b"nobody reads this\n")
    assert b"nobody" not in log_files.read(path)
    assert {p.name for p in tmp_path.iterdir()} <= {"log", "log.1"}


def test_the_last_lines_are_found_across_both_files_and_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert log_files.tail(path) == []
    log_files.before(path).write_bytes(b"one\n\ntwo\n")
    path.write_bytes(b"thr\x1b[2Jee\n\xff\n")
    assert log_files.tail(path, 3) == ["two", r"thr\x1b[2Jee", "\ufffd"]


def test_bytes_written_through_the_descriptor_count(tmp_path: Path) -> None:
    begun: list[int] = []
    log = BoundedLog(tmp_path / "log", opened=begun.append, limit=1000)
    os.write(begun[0], bytes(999))
    log.write(b"12")
    assert len(begun) == 2
    assert log_files.before(tmp_path / "log").stat().st_size == 999
    log.close()


def test_a_full_disk_loses_lines_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = BoundedLog(tmp_path / "log")

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        log.write(b"lost\n")
    log.write(b"said\n")
    log.close()
    assert log_files.read(tmp_path / "log") == b"said\n"


def test_any_log_record_is_written(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log")
    logger = logging.Logger("test")
    logger.addHandler(LogHandler(log))
    logger.warning("a name %s", "\udcff")
    logger.warning("%d", 5)
    log.close()
    assert log_files.read(tmp_path / "log") == b"a name \\udcff\n5\n"


async def test_output_is_read_after_the_end_too(tmp_path: Path) -> None:
    output = Output(tmp_path / "log")
    with output.theirs as theirs:
        os.write(theirs.fileno(), b"first\n")
        async with asyncio.timeout(5):
            while not log_files.read(tmp_path / "log"):
                await asyncio.sleep(0)
        os.write(theirs.fileno(), b"last words\n")
    output.drain()
    assert log_files.tail(tmp_path / "log") == ["first", "last words"]
    output.drain()
    output.close()


async def test_a_writer_without_end_does_not_hold_the_host(tmp_path: Path) -> None:
    output = Output(tmp_path / "log")
    reads = 0
    read = os.read

    def endless(fd: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        return b"x" * size

    os.read = endless  # type: ignore[assignment]
    try:
        output.drain()
    finally:
        os.read = read
    assert reads < 100
    output.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "kju"


def put(name: str, text: str, *, well: bool = False) -> None:
    claim = running.claim(name)
    claim.paths.host_log.write_text(text)
    log_files.before(claim.paths.host_log).write_text("earlier\n")
    claim.release(keep_logs=not well)


def test_logs_of_a_failed_machine_are_kept(folder: Path, state_folder: Path) -> None:
    put("well", "well", well=True)
    assert log_files.find_kept("well") is None
    put("badly", "one")
    put("badly", "two")
    found = log_files.find_kept("badly")
    assert found is not None
    assert log_files.read(found.host_log) == b"earlier\ntwo"
    assert found.folder == state_folder / "kju/logs/badly"
    assert found.folder.stat().st_mode & 0o777 == 0o700
    assert not (folder / "badly").exists()


def test_failure_of_the_last_run_is_known_until_a_run_ends_well(folder: Path) -> None:
    assert not log_files.last_run_failed("web")
    put("web", "one")
    assert log_files.last_run_failed("web")
    put("web", "two", well=True)
    assert not log_files.last_run_failed("web")
    assert log_files.find_kept("web") is not None
    put("web", "three")
    assert log_files.last_run_failed("web")
    log_files.mark_old("web")
    assert not log_files.last_run_failed("web")


def test_the_number_of_kept_logs_is_limited(folder: Path) -> None:
    for number in range(log_files.MAX_KEPT + 3):
        put(f"m{number}", "log")
        found = log_files.find_kept(f"m{number}")
        assert found is not None
        os.utime(found.folder, (number, number))
    left = sorted(place.name for place in kept_logs_folder().iterdir())
    assert len(left) == log_files.MAX_KEPT
    assert "m0" not in left
    assert f"m{log_files.MAX_KEPT + 2}" in left


def test_an_unusable_folder_for_kept_logs_is_not_an_error(
    folder: Path, state_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_folder.write_text("no folder")
    put("badly", "log")
    assert log_files.find_kept("badly") is None
    assert not (folder / "badly").exists()


def test_the_last_lines_of_a_failed_machine_name_their_logs(folder: Path) -> None:
    assert log_files.failure_lines("web") == ()
    put("web", "one\n\x1b[31mtwo\n")
    claim = running.claim("other")
    claim.paths.emulator_log("qemu").write_text("qemu: no such device\n" * 9)
    # Its folder is still there: it is being ended.
    assert log_files.failure_lines("other", 2) == ("qemu.log: qemu: no such device",) * 2
    claim.release(keep_logs=True)
    assert log_files.failure_lines("other", 1) == ("qemu.log: qemu: no such device",)
    first, second, third = log_files.failure_lines("web")
    assert (first, second) == ("host.log: earlier", "host.log: one")
    assert "\x1b" not in third and third.endswith("two")
