"""Another user with write access to the folder of a disk, who swaps links and folders there."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import rival

PROGRAM = Path(rival.__file__)
#: Attempts against code that the attack can win; it needs some hundred on a busy computer.
PATIENCE = 200_000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes two other users: needs root")


def command(*words: str) -> list[str]:
    return [sys.executable, str(PROGRAM), *words]


@pytest.fixture
def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """Make a folder that every user can write to, beside a private one of the victim."""
    # pytest's folder is closed to other users.
    top = Path(tempfile.mkdtemp(prefix="kju-rival-"))
    top.chmod(0o755)
    shared, private = top / "shared", top / "private"
    shared.mkdir()
    shared.chmod(0o777)
    (private / "clean").mkdir(parents=True)
    for path in ("secret", "clean/important", "clean/screen.png", "clean/input.jsonl"):
        (private / path).write_text("the victim's own\n")
    (shared / "disk.qcow2").touch()
    for path in (private, *private.rglob("*"), shared / "disk.qcow2"):
        os.chown(path, rival.VICTIM, rival.VICTIM)
        path.chmod(0o700 if path.is_dir() else 0o600)
    try:
        yield shared
    finally:
        shutil.rmtree(top)


def attempts(way: str, count: int, environment: dict[str, str]) -> int:
    """Write under attack until the attack has won; returns the attempts, 0 if it has not."""
    with shared_folder() as folder:
        words = command("attack", str(folder), str(folder.with_name("private")))
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as attack:
            try:
                assert attack.stdout
                assert attack.stdout.readline() == "ready\n"
                words = command("write", way, str(folder), str(count))
                done = subprocess.run(
                    words, stdout=subprocess.PIPE, text=True, env=environment, check=True
                )
                assert attack.poll() is None, "the attack ended early"
            finally:
                attack.kill()
        return int(done.stdout)


@pytest.mark.timeout(600)
def test_attack_wins_against_paths_and_never_against_kju(environment: dict[str, str]) -> None:
    won = attempts("path", PATIENCE, environment)
    assert won, "the attack must win against paths, or the test proves nothing"
    assert attempts("kju", 500 + 3 * won, environment) == 0
