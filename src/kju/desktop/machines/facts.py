"""Facts about one running machine, from the host's info and its events. I/O-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .entry import MachineEntry, MachineKey, MachineState

#: Programs of one role that an entry names; a further one is counted by its host only.
MAX_CLIENTS = 32
#: Warnings of one machine at the same time.
_MAX_WARNINGS = 8


class _ConnectedProgram(NamedTuple):
    """One program that is connected to a machine.

    Attributes:
        pid: Its process.
        name: Its name, as in its greeting.
        role: ``view`` or ``control``.
    """

    pid: int
    name: str
    role: str


class MachineFacts:
    """Facts about one running machine.

    Take the info first, then every event that the host still has. Events are numbered and each
    one says a whole fact, so events that are older than the info do no harm: the last one counts.

    Args:
        own_pid: This process, which is not listed among the programs.

    Attributes:
        ending: The reason of the machine's end, once it is known.
        failed: The machine ended without having been asked to.
    """

    def __init__(self, own_pid: int) -> None:
        self.ending = ""
        self.failed = False
        self._own_pid = own_pid
        self._paused = False
        self._link: tuple[bool, str] = (True, "")
        self._started: float | None = None
        self._screens: int | None = None
        self._clients: dict[int, _ConnectedProgram] = {}
        self._warnings: dict[str, str] = {}

    def take_info(self, info: Mapping[str, Any]) -> None:
        """Take the info of `kju.Machine.info`."""
        self._paused = info.get("state") == "paused"
        started = info.get("started")
        self._started = float(started) if isinstance(started, int | float) else None
        consoles = info.get("consoles")
        self._screens = len(consoles) if isinstance(consoles, list) else None
        self._clients = {
            int(client.get("client", -number)): _client(client)
            for number, client in enumerate(info.get("clients") or (), 1)
        }
        mirror = info.get("mirror")
        if isinstance(mirror, Mapping):
            self._link = bool(mirror.get("up", True)), str(mirror.get("reason") or "")

    def take_event(self, name: str, data: Mapping[str, Any]) -> bool:
        """Take one event of the host; return whether the machine's entry may be another now."""
        match name:
            case "paused" | "resumed":
                self._paused = name == "paused"
                if name == "resumed":
                    self._warnings.pop("disk", None)
            case "reset" | "snapshot-loaded":
                self._warnings.clear()
            case "panicked":
                self._warnings["panic"] = _panic_text(data)
            case "disk-error":
                self._warnings["disk"] = _disk_text(data)
            case "client-connected":
                self._clients[int(data.get("client", 0))] = _client(data)
            case "client-disconnected":
                self._clients.pop(int(data.get("client", 0)), None)
            case "link":
                self._link = bool(data.get("up")), str(data.get("reason") or "")
            case "ending":
                self.ending = str(data.get("reason") or "")
                self.failed = not data.get("asked", True)
            case _:
                return False
        return True

    def entry(self, key: MachineKey, *, labels: tuple[str, ...], defined: bool) -> MachineEntry:
        """Return the machine's entry."""
        up, reason = self._link
        state = MachineState.PAUSED if self._paused else MachineState.RUNNING
        return MachineEntry(
            key,
            state if up else MachineState.UNREACHABLE,
            reason="" if up else reason,
            started=self._started,
            viewers=self._names("view"),
            controllers=self._names("control"),
            labels=labels,
            warnings=tuple(list(self._warnings.values())[:_MAX_WARNINGS]),
            defined=defined,
            screens=self._screens,
        )

    def _names(self, role: str) -> tuple[str, ...]:
        found = [c.name for c in self._clients.values() if c.role == role and self._is_other(c)]
        return tuple(sorted(found)[:MAX_CLIENTS])

    def _is_other(self, client: _ConnectedProgram) -> bool:
        return client.pid != self._own_pid


def _client(data: Mapping[str, Any]) -> _ConnectedProgram:
    return _ConnectedProgram(
        int(data.get("pid") or 0), str(data.get("name") or ""), str(data.get("role") or "")
    )


def _panic_text(data: Mapping[str, Any]) -> str:
    info = str(data.get("info") or "")
    return f"the guest's system has crashed: {info}" if info else "the guest's system has crashed"


def _disk_text(data: Mapping[str, Any]) -> str:
    what = f"{data.get('operation') or 'access'} error on {data.get('device') or 'a disk'}"
    if data.get("full"):
        return f"{what}: the computer's disk is full"
    reason = str(data.get("reason") or "")
    return f"{what}: {reason}" if reason else what
