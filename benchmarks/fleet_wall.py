"""A wall of a fleet's machines over zenoh: 64 thumbnails at 2 Hz, of machines on two nodes.

    python -m benchmarks.fleet_wall show ROUTER SCREEN ...

The controller, the keepers, the leases, the senders, the router and the wall are the product's, on
loopback and without Ray. The machines have no guest: another process writes lines of text into
their video memory ten times a second, over a quarter of the screen (see wall.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import kju
from kju.cli.demo.link import End
from kju.fleet.controller import FleetController
from kju.fleet.keeper import Keeper
from kju.fleet.network.joining import FleetNetwork
from kju.fleet.network.node_sender import NodeSender
from kju.fleet.network.sender import SenderSetup
from kju.fleet.placement import NodeFacts, Room
from kju.fleet.specs import machine_specs

from .audience import Side
from .measure import Figure, amount, cpu_share, progress
from .wall import drawing, video_memory, without_guest

FLEET, NODES, MOST = "bench", ("n1", "n2"), 64
#: Percent of a core, of the program with the wall.
_LIMIT = 10.0
#: Seconds for all machines, and for all first pictures.
_READY = 300.0
#: Seconds until still tiles are looked at rarely.
_SETTLE = 3.0


def _same(facts: NodeFacts) -> NodeFacts:
    return facts


class Fleet:
    """A controller and two keepers in a thread.

    Args:
        network: The network of their senders.
    """

    def __init__(self, network: FleetNetwork) -> None:
        self._network = network
        self._keepers: dict[str, Keeper] = {}
        self._loop = asyncio.new_event_loop()
        self._tasks: list[Future[None]] = []
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(_READY)

    async def _begin(self) -> None:
        self._controller = FleetController(
            lambda node, session, order: self._keepers[node].order(session, order)
        )
        self._start(self._controller.run())
        for node in NODES:
            facts = NodeFacts(node, Room(memory=1 << 40))
            sender = NodeSender(SenderSetup(FLEET, node, self._network))
            self._keepers[node] = Keeper(
                FLEET, node, functools.partial(_same, facts), self._controller, sender=sender
            )  # fmt: skip
            self._start(self._keepers[node].run())
        while len(self._controller.nodes()) < len(NODES):
            await asyncio.sleep(0.05)

    def _start(self, work: object) -> None:
        self._tasks.append(asyncio.run_coroutine_threadsafe(work, self._loop))  # type: ignore[arg-type]

    def launch(self, folders: dict[str, Path]) -> dict[str, str]:
        """Start machines without guests; return the names of their screens, by their names."""
        specs = []
        for name, here in folders.items():
            specs += machine_specs([name], {"args": without_guest(here)}, spread=True)
        launching = self._controller.launch(specs)
        found = asyncio.run_coroutine_threadsafe(launching, self._loop).result(_READY)
        return {each.name: f"{FLEET}/{each.node}/{each.name}" for each in found}

    def close(self) -> None:
        """End the machines and the keepers."""
        for status in self._controller.statuses():
            ending = self._controller.end(status.name, "the benchmark is over")
            asyncio.run_coroutine_threadsafe(ending, self._loop).result(_READY)
        for task in self._tasks:
            task.cancel()


def show(place: str, names: list[str]) -> None:
    """Show thumbnails; answer each line of input with the number of pictures so far."""
    from kju.desktop.machines.entry import MachineEntry, MachineKey
    from kju.desktop.machines.remote_addresses import RemoteAddress
    from kju.desktop.machines.remote_machines import RemoteMachines
    from kju.desktop.wall.remote_tiles import RemoteTiles, RemoteView

    entries: dict[MachineKey, MachineEntry] = {}
    counts: dict[MachineKey, int] = {}

    def note(key: MachineKey) -> None:
        counts[key] = counts.get(key, 0) + 1

    with tempfile.TemporaryDirectory() as folder:
        tiles = RemoteTiles(note, lambda key, news: None)
        remotes = RemoteMachines(
            lambda call: call(), lambda entry: entries.update({entry.key: entry}),
            entries.__delitem__, Path(folder), user=tiles,
        )  # fmt: skip
        if fault := remotes.add(RemoteAddress(place, insecure=True)):
            sys.exit(fault)
        keys = [MachineKey(place, name) for name in names]
        deadline = time.monotonic() + _READY
        while not set(keys) <= entries.keys() and time.monotonic() < deadline:
            time.sleep(0.1)
        tiles.show(RemoteView(frozenset(keys)))
        while len(counts) < len(keys) and time.monotonic() < deadline:
            time.sleep(0.1)
        if len(counts) < len(keys):
            sys.exit(f"{len(counts)} of {len(keys)} pictures")
        print("ready", flush=True)
        for _ in sys.stdin:
            print(json.dumps({"pictures": [sum(counts.values())]}), flush=True)
        remotes.close()
        tiles.close()


def _children(module: str) -> list[int]:
    """Return the processes of this program that run a module."""
    found = []
    for pid in Path(f"/proc/self/task/{threading.get_native_id()}").parent.glob("*/children"):
        for child in map(int, pid.read_text().split()):
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if module.encode() in words:
                found.append(child)
    return found


def figures(folder: str) -> Iterator[Figure]:
    seconds, count = amount("SECONDS", 10), int(amount("MACHINES", MOST))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    end = End((), "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"tcp/127.0.0.1:{server.getsockname()[1]}"
    with contextlib.ExitStack() as stack:
        router = Side(stack, end, "-m", "kju.cli", "router", "--listen", place, "--insecure")
        fleet = Fleet(FleetNetwork((place,), insecure=True))
        stack.callback(fleet.close)
        progress(f"{count} machines start", 0, 1)
        folders = {f"kju-wall-{n}": Path(tempfile.mkdtemp(dir=folder)) for n in range(count)}
        screens = fleet.launch(folders)
        machines = [
            video_memory(stack.enter_context(kju.attach(name)), here)
            for name, here in folders.items()
        ]
        senders = _children("kju.fleet.network.sender")
        for what, chosen in (("moving", machines), ("still", machines[:0])):
            progress(f"{count} {what} thumbnails", 0, 1)
            with drawing(chosen, text=True) if chosen else contextlib.nullcontext():
                yield from _measured(end, router.pid, senders, place, screens, what, seconds)


def _measured(
    end: End, router: int, senders: list[int], place: str, screens: dict[str, str], what: str,
    seconds: float,
) -> Iterator[Figure]:  # fmt: skip
    count = len(screens)
    with contextlib.ExitStack() as stack:
        wall = Side(stack, end, "-m", "benchmarks.fleet_wall", "show", place, *screens.values())
        time.sleep(_SETTLE)
        before, begin = wall.ask()["pictures"][0], time.monotonic()
        shares: dict[str, float] = {}

        def measure(name: str, pids: list[int]) -> None:
            shares[name] = sum(cpu_share(pid, seconds) for pid in pids)

        threads = [
            threading.Thread(target=measure, args=(name, [pid]))
            for name, pid in (
                ("wall", wall.pid), ("router", router),
                *((f"sender {n}", pid) for n, pid in enumerate(senders)),
            )
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pictures = wall.ask()["pictures"][0] - before
        rate = pictures / (time.monotonic() - begin) / count
        sending = sum(share for name, share in shares.items() if name.startswith("sender"))
        yield Figure(
            "fleet_wall", f"the wall of {count} {what} thumbnails, 1280x800, over zenoh",
            shares["wall"], "% of a core", _LIMIT, "",
            f"{rate:.2f} pictures a second of each; router {shares['router']:.1f} %, senders"
            f" {sending:.1f} %; load {os.getloadavg()[0]:.1f}",
        )  # fmt: skip


if __name__ == "__main__":
    show(sys.argv[2], sys.argv[3:])
