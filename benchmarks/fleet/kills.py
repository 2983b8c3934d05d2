"""Kill processes of a Ray cluster with machines at random moments; count what is left behind.

    python -m benchmarks.fleet.kills fleet|plain KILLS SEED

Two programs use machines on two nodes all the time (owner.py). SIGKILL hits a keeper (of ``plain``:
an actor with a QEMU), another worker of Ray, a raylet, all processes of the head, or a program. The
process is started again, and the next kill follows. A cluster lives until its head is killed, or
for ten kills; then both programs are killed. Every machine has to end by itself after that.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from kju.store import running, sweeping

from .cluster import LocalCluster, folders, is_emulator, is_of_ray, kill, marked, parent

#: What is killed, and how often.
VICTIMS = {"keeper": 3, "worker": 3, "raylet": 2, "owner": 2, "head": 1}
#: The kills of one cluster.
ROUND = 10
#: The longest time before a kill.
DELAY = 3.0
#: Programs that use machines.
OWNERS = 2
#: Seconds for a machine to end after its cluster or its program: a lease of the program, which may
#: begin with a controller that is restarted, and one of the machine.
END = 60.0
#: Seconds for a process to exist.
_START = 180.0
#: The processes of Ray that have machines.
_KEEPERS = {"fleet": "ray::KeeperActor", "plain": "ray::PlainMachine"}


class Owner:
    """A program with machines.

    Args:
        kind: ``fleet`` or ``plain``.
        address: The address of the cluster.
        name: The beginning of its machines' names.
        folder: Gets its output.
    """

    def __init__(self, kind: str, address: str, name: str, folder: Path) -> None:
        self._log = folder / f"{name}.log"
        words = [sys.executable, "-m", "benchmarks.fleet.owner", kind, address, name]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)

    def lines(self, word: str) -> list[str]:
        """Return the lines of the program that begin with a word."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line for line in lines if line.startswith(word)]

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


class Kills:
    """Kills of one kind of machines, and their results.

    Args:
        kind: ``fleet`` or ``plain``.
        seed: Chooses victims and moments.
        mark: The mark of all processes.
        folder: Gets the output of the programs.
        tell: Receives a line for each kill.

    Attributes:
        kills: The kills, by victim.
        machines: The machines that were started.
        left: Processes and files that were left behind.
        longest: Seconds from the last kill of a cluster to the end of its machines, at most.
    """

    def __init__(
        self, kind: str, seed: int, mark: str, folder: Path, tell: Callable[[str], object]
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.machines = 0
        self.left: list[str] = []
        self.longest = 0.0
        self._kind = kind
        self._mark = mark
        self._random = random.Random(seed)
        self._folder = folder
        self._tell = tell
        self._owners: list[Owner] = []
        self._started = 0

    def run(self, count: int) -> None:
        """Kill so many processes, in as many clusters as that takes."""
        while (left := count - self.kills.total()) > 0:
            self._round(min(left, ROUND))

    # ---- One cluster

    def _round(self, count: int) -> None:
        cluster = LocalCluster()
        try:
            self._owners = [self._new_owner(cluster) for _ in range(OWNERS)]
            self._until(
                lambda: all(owner.lines("launched") for owner in self._owners), "the first machines"
            )
            goal, last = self.kills.total() + count, ""
            while self.kills.total() < goal and last != "head":
                time.sleep(self._random.uniform(0, DELAY))
                last = self._kill_one(cluster)
            for owner in self._owners:
                owner.kill()
                self.kills["owner"] += last != "head"
                self._count(owner)
            self._check()
        finally:
            for owner in self._owners:
                owner.kill()
            self._end_rest(cluster)

    def _kill_one(self, cluster: LocalCluster) -> str:
        """Kill a process, and start what it was again; return what it was."""
        (victim,) = self._random.choices(list(VICTIMS), list(VICTIMS.values()))
        if victim in ("keeper", "worker"):
            pids = self._workers(victim)
            if not pids:
                return ""
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(pids), signal.SIGKILL)
        elif victim == "raylet":
            cluster.kill_raylet()
            cluster.add_node()
        elif victim == "head":
            cluster.kill_head()
        else:
            owner = self._owners.pop(self._random.randrange(len(self._owners)))
            owner.kill()
            self._count(owner)
            self._owners.append(self._new_owner(cluster))
        self.kills[victim] += 1
        self._tell(f"kill {self.kills.total()}: {victim}")
        for owner in [each for each in self._owners if each.has_ended and victim != "head"]:
            # A program whose raylet was killed ends with it.
            self._owners.remove(owner)
            self._count(owner)
            self._owners.append(self._new_owner(cluster))
        return victim

    def _workers(self, victim: str) -> list[int]:
        """Return the processes of Ray that run code of users, with machines or without."""
        keeper = _KEEPERS[self._kind]
        return sorted(
            pid
            for pid, command in marked(self._mark).items()
            if command.startswith("ray::") and command.startswith(keeper) == (victim == "keeper")
        )

    def _new_owner(self, cluster: LocalCluster) -> Owner:
        self._started += 1
        return Owner(self._kind, cluster.address, f"owner{self._started}", self._folder)

    def _count(self, owner: Owner) -> None:
        self.machines += sum(len(line.split()) - 1 for line in owner.lines("launched"))

    # ---- After it

    def _check(self) -> None:
        """Wait for the end of all machines; note those that do not end."""
        begin = time.monotonic()
        while (found := self._machines()) and time.monotonic() - begin < END:
            if self._kind == "plain" and time.monotonic() - begin > END / 4:
                break  # nothing ends them any more
            time.sleep(0.1)
        if not found:
            self.longest = max(self.longest, time.monotonic() - begin)
        left = [*found.values(), *self._files()]
        self.left += left
        self._tell(f"all machines have ended after {time.monotonic() - begin:.1f} s, left: {left}")
        kill(found)

    def _machines(self) -> dict[int, str]:
        """Return the processes that belong to machines, not those that keepers fork hosts from."""
        found = marked(self._mark)
        keepers = {pid for pid, command in found.items() if command.startswith(_KEEPERS["fleet"])}
        return {
            pid: command
            for pid, command in found.items()
            if is_emulator(command) or ("kju.host" in command and parent(pid) not in keepers)
        }

    def _files(self) -> list[str]:
        """Return the files that the next command does not remove."""
        if self._machines():
            return []
        sweeping.sweep()
        folders = [Path(os.environ[name], "kju") for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME")]
        found = [
            str(path) for folder in folders if folder.is_dir() for path in folder.iterdir()
            if not path.name.startswith(".") and path.name not in ("machines", "trust")
        ]  # fmt: skip
        return [*found, *running.names()]

    def _end_rest(self, cluster: LocalCluster) -> None:
        """End what Ray itself leaves, which is not counted."""
        cluster.close()
        for _ in range(2):  # a process that a raylet was starting has no name at first
            rest = {pid: command for pid, command in marked(self._mark).items()
                    if is_of_ray(command) or command.startswith("ray::")}  # fmt: skip
            kill(rest)
            time.sleep(1)

    def _until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + _START
        while not condition():
            if time.monotonic() > deadline or all(each.has_ended for each in self._owners):
                logs = [owner.lines("") for owner in self._owners]
                raise TimeoutError(f"not within {_START:.0f} s: {what}: {logs}")
            time.sleep(0.1)


def killed(kind: str, count: int, seed: int, tell: Callable[[str], object]) -> Kills:
    """Kill processes of a cluster with machines, and return the results."""
    with folders() as mark:
        folder = Path(os.environ["RAY_TMPDIR"], "owners")
        folder.mkdir()
        kills = Kills(kind, seed, mark, folder, tell)
        kills.run(count)
        return kills


if __name__ == "__main__":
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} {line}", flush=True)

    found = killed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), tell)
    print(f"{found.kills.total()} kills: {dict(found.kills)}; {found.machines} machines;"
          f" left {found.left}; all ended within {found.longest:.1f} s")  # fmt: skip
    sys.exit(bool(found.left))
