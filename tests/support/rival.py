"""Two users in one folder: a victim that writes there, and an attacker that swaps what it finds.

    rival.py attack FOLDER PRIVATE        until it is ended
    rival.py write WAY FOLDER COUNT       COUNT times, or until the attack has won

Everything is imported as root; each then becomes a user that has nothing to do with the other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

from kju.errors import KjuError
from kju.files import write_output
from kju.store.snapshot_files import SnapshotFiles

VICTIM, ATTACKER = 65533, 65532
PLANTED = b"planted\n"


def become(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.umask(0o022)


def attack(folder: Path, private: Path) -> None:
    """Put links into the private folder, and a folder of its own, where the victim writes."""
    names = [folder / "disk.qcow2.snapshots", folder / "screen.png"]
    own = folder / "planted"
    (own / "clean").mkdir(parents=True)
    (own / "clean" / "input.jsonl").write_bytes(PLANTED)
    print("ready", flush=True)
    turn = 0
    while True:
        turn += 1
        for name in names:
            aside = folder / f"aside-{name.name}"
            with contextlib.suppress(OSError):
                os.rename(name, aside)
            with contextlib.suppress(OSError):
                os.symlink(private / ("secret" if name.suffix == ".png" else ""), name)
            with contextlib.suppress(OSError):
                os.unlink(name)
            if turn % 3 == 0 and name.suffix != ".png":
                with contextlib.suppress(OSError):
                    os.rename(own, name)
                with contextlib.suppress(OSError):
                    os.rename(name, own)
            with contextlib.suppress(OSError):
                os.rename(aside, name)


def by_path(disk: Path) -> None:
    """Writes as programs usually do; the attack must win against this."""
    place = disk.with_name(f"{disk.name}.snapshots") / "clean"
    new = place.with_name(".clean.new")
    with contextlib.suppress(OSError):
        place.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        (new / "input.jsonl").write_bytes(b"mine\n")
        shutil.rmtree(place, ignore_errors=True)
        new.rename(place)
    with contextlib.suppress(OSError):
        (disk.parent / "screen.png").write_bytes(b"mine\n")


def by_kju(disk: Path) -> None:
    """Writes, reads back and removes as kju does."""
    files = SnapshotFiles("", str(disk))
    with contextlib.suppress(KjuError):
        files.keep("clean", None, b"mine\n")
    with contextlib.suppress(KjuError):
        assert files.inputs("clean", 100) != PLANTED, "another user's input would be replayed"
    with contextlib.suppress(KjuError):
        files.remove("clean")
    with contextlib.suppress(KjuError):
        write_output(disk.parent / "screen.png", b"mine\n")


def content(private: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(private)): path.read_bytes() if path.is_file() else b""
        for path in private.rglob("*")
    }


def write(way: str, folder: Path, count: int) -> None:
    """Print the number of attempts until the private folder changed; 0 if it never did."""
    private = folder.with_name("private")
    before = content(private)
    for attempt in range(1, count + 1):
        (by_path if way == "path" else by_kju)(folder / "disk.qcow2")
        if content(private) != before:
            print(attempt, flush=True)
            return
    print(0, flush=True)


if __name__ == "__main__":
    mode, *words = sys.argv[1:]
    become(ATTACKER if mode == "attack" else VICTIM)
    if mode == "attack":
        attack(Path(words[0]), Path(words[1]))
    write(words[0], Path(words[1]), int(words[2]))
