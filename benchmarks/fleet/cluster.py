"""A Ray cluster on this computer, with folders of its own, and the processes of its users."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kju

#: In the environment of every process that a measurement starts, directly or not.
MARK = "KJU_BENCH_FLEET"
#: Bytes of the object store of a node; the least that Ray takes is 75 MB.
STORE = 100_000_000
#: Bytes of memory that a node offers to machines.
MEMORY = 16 << 30
#: Attempts to start a node on a busy computer.
_ATTEMPTS = 4
#: Ray's own processes: the same with or without machines.
RAY = ("raylet", "gcs_server", "ray::IDLE", "ray/dashboard/agent.py", "runtime_env", "reaper")


@contextlib.contextmanager
def folders() -> Iterator[str]:
    """Give this process and its children folders of their own; yield the mark of all of them."""
    with contextlib.ExitStack() as stack:
        # Sockets need short paths.
        top = Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="kjb-", dir="/tmp", ignore_cleanup_errors=True)
        ))  # fmt: skip
        mark = uuid.uuid4().hex
        root = Path(kju.__file__).parents[1]
        changed = {
            MARK: mark,
            "RAY_TMPDIR": str(top),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Hosts start with compiled modules, as those of an installed package.
            "PYTHONPYCACHEPREFIX": str(top / "compiled"),
            "PYTHONPATH": os.pathsep.join([str(root), str(Path(__file__).parents[2])]),
        }
        for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            folder = top / name[4:7].lower()
            folder.mkdir(mode=0o700)
            changed[name] = str(folder)
        before = {name: os.environ.get(name) for name in changed}
        before["PYTHONDONTWRITEBYTECODE"] = os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.update(changed)
        try:
            yield mark
        finally:
            kill(marked(mark))
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


class LocalCluster:
    """A cluster of nodes that are processes of this computer.

    Args:
        nodes: Their number; the first one is the head.
    """

    def __init__(self, nodes: int = 2) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(initialize_head=False, shutdown_at_exit=False)
        for _ in range(nodes):
            self.add_node()

    @property
    def address(self) -> str:
        """The address of the head."""
        return str(self._cluster.address)

    def add_node(self) -> None:
        """Add a node with one processor: Ray starts a worker for each, before it is needed."""
        for attempt in range(_ATTEMPTS):
            try:
                self._cluster.add_node(
                    num_cpus=1, memory=MEMORY, object_store_memory=STORE,
                    include_dashboard=False, include_log_monitor=False,
                )  # fmt: skip
            except Exception:  # Ray gives a node 30 seconds
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def kill_node(self) -> None:
        """Kill all processes of Ray on the newest node that is not the head."""
        self._cluster.remove_node(self._cluster.list_all_nodes()[-1], allow_graceful=False)

    def kill_raylet(self) -> None:
        """Kill the raylet of the newest node that is not the head, and nothing else."""
        node = self._cluster.list_all_nodes()[-1]
        node.kill_raylet(check_alive=False)
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_head(self) -> None:
        """Kill all processes of Ray on the head."""
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)

    def close(self) -> None:
        """End all processes of Ray that the nodes have started."""
        for node in self._cluster.list_all_nodes():
            self._cluster.remove_node(node, allow_graceful=False)


def marked(mark: str) -> dict[int, str]:
    """Return the processes of a measurement but this one: command lines by process id."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or (pid := int(folder.name)) == os.getpid():
            continue
        # A process may end, or belong to somebody else.
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found[pid] = b" ".join(words).decode(errors="replace").strip()
    return found


def kill(pids: dict[int, str]) -> None:
    """Kill processes, and wait for their end."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def parent(pid: int) -> int:
    """Return the parent of a process; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


def is_emulator(command: str) -> bool:
    """Return whether a process is a QEMU."""
    return "qemu-system" in command.partition(" ")[0]


def is_of_ray(command: str) -> bool:
    """Return whether a process is one of Ray's own, which runs no code of a user."""
    return any(word in command for word in RAY)


def memory(mark: str) -> int:
    """Return the bytes of all processes of a measurement without the QEMUs, shared pages by share.

    It includes this process, the processes of Ray, and idle workers.
    """
    pids = [pid for pid, command in marked(mark).items() if not is_emulator(command)]
    total = 0
    for pid in [os.getpid(), *pids]:
        with contextlib.suppress(OSError, ValueError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in text.splitlines()
                          if line.startswith("Pss:")) << 10  # fmt: skip
    return total


def settled(mark: str) -> int:
    """Return `memory` when it changes no more, by less than a megabyte in a second."""
    last, deadline = memory(mark), time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(1)
        if abs((now := memory(mark)) - last) < 1 << 20:
            return now
        last = now
    return last
