"""SHELL: a Ray cluster of several nodes on this computer.

All nodes have the address 127.0.0.1 and ports of their own. That does not keep others out: Ray 2.60
also listens on all addresses of the computer. So the nodes ask for Ray's token, which Ray keeps in
``~/.ray/auth_token``; versions before 2.52 have none, and trust every program that reaches them.

Each node is a process of ``ray start --block``, which ends its own processes when it ends. Their
numbers are in a file of the runtime folder: one such cluster for each user.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from ..errors import KjuError, UnavailableError, UsageError
from ..files import Folder, proc_lines, stat_fields
from ..store.paths import runtime_folder

#: Nodes of a cluster on one computer.
MAX_NODES = 64
#: Seconds for a node to start, and to end.
START_TIMEOUT, END_TIMEOUT = 120.0, 30.0
#: Bytes of a node's object store, which takes memory in /dev/shm.
STORE = 256 << 20
#: The share of the free memory that the nodes have for machines.
_MEMORY_SHARE = 0.9
_LOCAL = "127.0.0.1"
_FILE, _LOG, _LOCK = ".cluster.json", ".cluster.log", ".cluster.lock"
_LOOK = 0.1
_RAY = (sys.executable, "-m", "ray.scripts.scripts")
#: The variable that makes Ray check its token, and its value for that.
_MODE, _TOKEN_MODE = "RAY_AUTH_MODE", "token"
#: A node ends its processes at once: its machines have ended before, and nobody else uses it.
_END_AT_ONCE = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"}
#: The index of the start time among the fields of a process.
_BEGAN = 19


class ClusterProcess(msgspec.Struct, frozen=True):
    """A process of the cluster.

    Attributes:
        number: Its process ID.
        began: When it began, by the kernel's clock: another process may get the number later.
    """

    number: int
    began: str

    @classmethod
    def of(cls, number: int) -> ClusterProcess:
        """Return a running process."""
        return cls(number, stat_fields(f"/proc/{number}")[_BEGAN])

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        with contextlib.suppress(OSError):
            fields = stat_fields(f"/proc/{self.number}")
            return fields[_BEGAN] == self.began and fields[0] != "Z"
        return False


class LocalCluster(msgspec.Struct, frozen=True):
    """A cluster on this computer.

    Attributes:
        address: Its address, ``127.0.0.1:PORT``.
        processes: One process for each node, the head node first.
        has_token: Its nodes ask for Ray's token.
    """

    address: str
    processes: tuple[ClusterProcess, ...] = ()
    has_token: bool = False


_started: list[subprocess.Popen[bytes]] = []
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LocalCluster).decode


def running_cluster() -> LocalCluster | None:
    """Return the cluster that `start_cluster` has started; None without one that runs."""
    with contextlib.suppress(KjuError, msgspec.MsgspecError), Folder.open(runtime_folder()) as own:
        found = _decode(own.read(_FILE))
        return found if any(each.is_alive for each in found.processes) else None
    return None


def cluster_address(address: str) -> str:
    """Return the address of a cluster: for ``auto`` that of `start_cluster`, if that runs.

    For that one Ray's token is used. Call this before Ray is imported.
    """
    local = running_cluster()
    if local is None or address not in ("auto", local.address):
        return address
    if local.has_token:
        # Ray uses it by itself only for a cluster that it has found, not for one at an address.
        os.environ.setdefault(_MODE, _TOKEN_MODE)
    return local.address


def start_cluster(nodes: int) -> LocalCluster:
    """Start a cluster of several nodes; its head node accepts connections then.

    It runs until `end_cluster`, and outlives this program.

    Args:
        nodes: The number of its nodes, which share the processors and the memory.

    Raises:
        UsageError: The number is out of range, or such a cluster runs already.
        UnavailableError: It did not start; nothing is left of it.
    """
    if not 1 <= nodes <= MAX_NODES:
        raise UsageError(f"a cluster on this computer has 1 to {MAX_NODES} nodes, not {nodes}")
    # A second program waits for the first one, and finds its cluster.
    with Folder.open(runtime_folder()) as folder, folder.lock(_LOCK):
        if (found := running_cluster()) is not None:
            raise UsageError(
                f"a cluster of kju runs at {found.address}; end it first: kju fleet down"
            )
        return _start(folder, nodes)


def _start(folder: Folder, nodes: int) -> LocalCluster:
    address, started = f"{_LOCAL}:{_free_port()}", list[subprocess.Popen[bytes]]()
    mode = os.environ.get(_MODE) or (_TOKEN_MODE if _make_token() else "disabled")
    has_token = mode == _TOKEN_MODE
    try:
        for number in range(nodes):
            started.append(_start_node(folder, address, nodes, mode, is_head=not number))
            processes = tuple(ClusterProcess.of(p.pid) for p in started)
            made = LocalCluster(address, processes, has_token)
            # At once: what this file does not name is not ended.
            folder.write(_FILE, _encode(made), durable=False)
            if not number:
                _wait_for_head(address, started[0], folder.path / _LOG)
        # They outlive this program: Python warns of running ones that are forgotten before its end.
        _started.extend(started)
        return made
    except BaseException:
        for process in started:
            process.terminate()
        deadline = time.monotonic() + END_TIMEOUT
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in started:
            process.kill()
            process.wait()
        _forget_address(address)
        raise


def end_cluster() -> bool:
    """End the cluster that `start_cluster` has started; return whether there was one.

    All of its processes have ended afterwards.
    """
    found = running_cluster()
    if found is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in found.processes:
            if process.is_alive:  # its number may be another process's by now
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.number, number)
        deadline = time.monotonic() + END_TIMEOUT
        while time.monotonic() < deadline and any(each.is_alive for each in found.processes):
            time.sleep(_LOOK)
    with contextlib.suppress(KjuError), Folder.open(runtime_folder()) as folder:
        folder.remove(_FILE)
    _forget_address(found.address)
    return True


def recorded_address() -> Path:
    """Return the file in which Ray records the address of the newest cluster of this computer."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  Ray's
    return Path(folder) / "ray" / "ray_current_cluster"


def _forget_address(address: str) -> None:
    """Remove Ray's record of a cluster that has ended: it would be tried for minutes."""
    path = recorded_address()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        # Ray has another address of this computer there.
        if path.read_text().strip().rpartition(":")[2] == address.rpartition(":")[2]:
            path.unlink()


def _make_token() -> bool:
    """Create Ray's token if this user has none; return whether there is one."""
    done = subprocess.run(
        [*_RAY, "get-auth-token", "--generate"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        umask=0o077,  # Ray 2.60 would let all users of the computer read it
        check=False,
    )  # fmt: skip
    return done.returncode == 0


def _start_node(
    folder: Folder, address: str, nodes: int, mode: str, *, is_head: bool
) -> subprocess.Popen[bytes]:
    port = address.rpartition(":")[2]
    where = (
        ["--head", f"--port={port}", "--include-dashboard=false", "--disable-usage-stats"]
        if is_head
        else [f"--address={address}"]
    )
    words = [
        *where,
        "--block",
        f"--node-ip-address={_LOCAL}",
        f"--num-cpus={max(1, (os.cpu_count() or 1) // nodes)}",
        f"--memory={int(_free_memory() * _MEMORY_SHARE) // nodes}",
        f"--object-store-memory={STORE}",
        "--include-log-monitor=false",
    ]
    log = folder.append(_LOG)
    try:
        return subprocess.Popen(
            [*_RAY, "start", *words],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, _MODE: mode, **_END_AT_ONCE},
        )  # fmt: skip
    finally:
        os.close(log)


def _wait_for_head(address: str, head: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and head.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection((_LOCAL, int(address.rpartition(":")[2])), 1.0).close()
            return
        time.sleep(_LOOK)
    why = "has ended" if head.poll() is not None else "does not answer"
    raise UnavailableError(f"the cluster's head node {why}; Ray's messages are in {log}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_LOCAL, 0))
        return int(found.getsockname()[1])


def _free_memory() -> int:
    """Return the bytes of memory that programs may take now (proc_meminfo(5))."""
    for line in proc_lines("/proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    raise UnavailableError("this computer does not show its free memory")
