"""Folders, locks, and what is left of the killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kju.cli import doctor
from kju.errors import MachineExistsError, MachineNotFoundError, UsageError
from kju.store import paths, running
from kju.store.paths import RuntimeFolderError, fallback_note, name_for, runtime_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "kju"


def test_claim_and_release(folder: Path) -> None:
    claim = running.claim("one")
    assert (folder / "one").stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o700
    assert running.names() == ["one"]
    assert running.sweep() == []
    claim.release()
    claim.release()
    assert running.names() == []
    assert not (folder / "one").exists()


def test_a_name_is_given_once() -> None:
    claim = running.claim("one")
    with pytest.raises(MachineExistsError, match="kju stop one"):
        running.claim("one")
    claim.release()
    running.claim("one").release()


def test_one_of_many_concurrent_claims_succeeds() -> None:
    won: list[running.Claim] = []
    lost: list[MachineExistsError] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        try:
            won.append(running.claim("one"))
        except MachineExistsError as error:
            lost.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    won[0].release()


def test_names_are_made_from_images() -> None:
    first, second = running.claim_any("/a/disk one.qcow2"), running.claim_any("disk one.img")
    assert (first.name, second.name) == ("disk-one", "disk-one-2")
    first.release()
    second.release()
    assert name_for(None) == "machine"
    assert name_for("/x/...") == "machine"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", ".hidden", "a" * 65, "a b", "é"])
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError):
        running.claim(name)


def test_a_killed_hosts_folder_is_swept(folder: Path) -> None:
    program = (
        "import os, sys; from kju.store import running\n"
        "c = running.claim('dead'); c.record(os.getpid()); print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert child.stdin
    assert child.stdout
    with child.stdin, child.stdout:
        child.stdout.readline()
        assert running.names() == ["dead"]
        assert running.sweep() == []
        child.kill()
        child.wait()
    assert running.names() == []
    with pytest.raises(MachineNotFoundError):
        running.find("dead")
    assert running.sweep() == ["dead"]
    assert not (folder / "dead").exists()


def test_the_remains_of_a_dead_machine_do_not_stop_a_new_one(folder: Path) -> None:
    runtime_folder()
    (folder / "one").mkdir()
    (folder / "one" / "control.sock").touch()
    claim = running.claim("one")
    assert sorted(p.name for p in (folder / "one").iterdir()) == ["host.pid"]
    claim.release()


def test_sweep_kills_a_surviving_qemu_and_no_other_process(folder: Path) -> None:
    runtime_folder()
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    try:
        for index, (child, lie) in enumerate(zip(children, (0, 1), strict=True)):
            machine = folder / f"m{index}"
            machine.mkdir()
            started = running.start_time(child.pid) + lie
            (machine / "host.pid").write_text(f"1\n{child.pid} {started}\n")
        assert sorted(running.sweep()) == ["m0", "m1"]
        assert children[0].wait(5) == -9
        assert children[1].poll() is None
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_sweep_of_a_damaged_file_does_not_kill_its_own_group(folder: Path) -> None:
    runtime_folder()
    (folder / "m").mkdir()
    (folder / "m" / "host.pid").write_text("1\n0 0\n")
    sweep = [sys.executable, "-c", "from kju.store import running; assert running.sweep()"]
    assert subprocess.run(sweep, start_new_session=True, check=False).returncode == 0


def test_sweep_without_a_folder(folder: Path) -> None:
    assert running.sweep() == []
    assert running.names() == []
    assert not folder.exists()


def test_a_folder_others_can_enter_is_closed(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    runtime_folder()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_or_a_file_is_refused(folder: Path) -> None:
    folder.symlink_to("/tmp")
    with pytest.raises(RuntimeFolderError, match="XDG_RUNTIME_DIR"):
        runtime_folder()
    folder.unlink()
    folder.touch()
    with pytest.raises(RuntimeFolderError):
        running.claim("one")


def test_fallbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "/nowhere/at/all", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        found = runtime_folder(create=False)
        assert str(found) in (f"/run/user/{os.getuid()}/kju", f"/tmp/kju-{os.getuid()}")


def test_start_time_without_a_process() -> None:
    assert running.start_time(0x7FFFFFFF) == 0
    assert running.start_time(os.getpid()) > 0


@pytest.fixture
def fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /tmp/kju-UID, which is the user's own while tests run."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr(paths, "_session_folder", lambda: "")
    monkeypatch.setattr(paths, "_fallback", lambda: tmp_path / "kju-0")
    return tmp_path / "kju-0"


def test_the_error_for_a_missing_machine_names_the_folder_in_tmp(
    fallback: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    with pytest.raises(
        MachineNotFoundError, match=rf"\(looked in {fallback}; .* folder of this user\)$"
    ):
        running.find("web")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(MachineNotFoundError) as caught:
        running.find("web")
    assert str(caught.value) == (
        "no machine 'web' is running; start it: kju run --detach --name web IMAGE"
        f" (looked in {fallback}; XDG_RUNTIME_DIR is not set)"
    )
    assert any(str(fallback) in f.details and "is not set" in f.details for f in doctor.findings())


def test_no_note_with_a_runtime_folder(tmp_path: Path) -> None:
    assert fallback_note() == ""
    with pytest.raises(MachineNotFoundError) as caught:
        running.find("web")
    assert "looked in" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("kind", ["folder", "link", "file"])
def test_a_folder_in_tmp_of_another_user(fallback: Path, kind: str) -> None:
    if kind == "folder":
        fallback.mkdir()
    elif kind == "link":
        fallback.symlink_to("elsewhere")
    else:
        fallback.touch()
    os.lchown(fallback, 65534, 65534)
    why = "belongs to user 65534, not to user 0" if kind == "folder" else "must be a folder"
    for attempt in (runtime_folder, lambda: running.claim("web"), running.sweep):
        with pytest.raises(RuntimeFolderError, match=why) as caught:
            attempt()
        assert "mkdir -m 700 ~/.kju-run; export XDG_RUNTIME_DIR=~/.kju-run" in str(caught.value)


def test_a_folder_that_others_may_replace_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(RuntimeFolderError, match=f"run: chmod o-w {tmp_path}"):
        running.claim("web")
    tmp_path.chmod(0o1777)
    running.claim("web").release()


def test_folders_in_a_machines_folder_are_not_removed(folder: Path) -> None:
    claim = running.claim("web")
    (folder / "web" / "files").mkdir()
    (folder / "web" / "files" / "important").touch()
    claim.release()
    assert (folder / "web" / "files" / "important").exists()
    with pytest.raises(RuntimeFolderError, match=r"not kju's \(files/\)"):
        running.claim("web")
    assert running.sweep() == []


def test_a_host_is_known_by_its_start_time_too(folder: Path) -> None:
    claim = running.claim("one")
    assert running.host_pid("one") == os.getpid()
    claim.record(os.getpid())
    assert running.host_pid("one") == os.getpid()
    text = claim.paths.pid.read_text()
    other = text.replace(f"{os.getpid()} {running.start_time(os.getpid())}", f"{os.getpid()} 1", 1)
    claim.paths.pid.write_text(other)
    assert running.host_pid("one") == 0
    with pytest.raises(MachineNotFoundError, match="host's process"):
        running.kill("one")
    claim.release()


def test_kill_refuses_a_machine_that_does_not_run(folder: Path) -> None:
    with pytest.raises(MachineNotFoundError):
        running.kill("nobody")


def test_hidden_machine_is_listed_when_it_is_shown(runtime_folder):
    claimed = running.claim("spare", hidden=True)
    try:
        assert running.names() == []
        assert running.free_name("spare.img") == "spare-2"
        claimed.show()
        assert running.names() == ["spare"]
    finally:
        claimed.release()
