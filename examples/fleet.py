"""Play grub-invaders with forty bots on two nodes, and kill one of the nodes in the middle.

python examples/fleet.py [--bots N] [--seconds N] [--wall PNG] [KERNEL]

KERNEL is /boot/invaders.exec of Debian's package grub-invaders. Forks need QEMU 9.0 or newer.

The program makes a Ray cluster of two nodes on this computer. It boots the game once, freezes it,
and forks it on both nodes. A bot plays each fork on the fork's node; the bots of a node are threads
of one process. All screens are drawn into one picture, the wall, every two seconds. After half of
the time one node is killed: its machines are started again on the other node, from the same base,
and their bots play again. The last lines are the scores.
"""

import argparse
import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import invaders
import ray
from PIL import Image, ImageDraw, ImageFont
from ray.cluster_utils import Cluster

import kju
import kju.fleet
from kju.errors import KjuError, MachineLostError
from kju.fleet import Fleet, FleetMachine, FleetState

LIMIT = 300  # seconds for the boot, and for a machine to run again
TILE, TEXT = (180, 100), 16  # width and height of a screen on the wall; the height of its text


class Wall:
    """A picture of all machines of a fleet, drawn every two seconds.

    Args:
        fleet: The fleet.
        path: The PNG file.
        columns: The tiles of a row.
    """

    def __init__(self, fleet: Fleet, path: str, columns: int = 8) -> None:
        self.scores: dict[str, int] = {}
        self._fleet = fleet
        self._path = Path(path)
        self._columns = columns
        self._open: dict[tuple[str, int], kju.Machine] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Draw it for the last time."""
        self._over.set()
        self._thread.join()
        self._draw()
        for machine in self._open.values():
            machine.close()

    def _run(self) -> None:
        while not self._over.wait(2):
            self._draw()

    def _screen(self, status: kju.fleet.MachineStatus) -> Image.Image | None:
        """Return a machine's screen; None if it shows none now."""
        start = status.name, status.generation
        try:
            if start not in self._open:
                machine = self._fleet.machine(status.name)
                self._open[start] = machine.attach(role="view")
            return Image.fromarray(self._open[start].screen.frame())
        except KjuError:  # it was lost, or ends at this moment
            return None

    def _draw(self) -> None:
        statuses = [each for each in self._fleet.machines() if each.name.startswith("bot-")]
        statuses.sort(key=lambda each: int(each.name.removeprefix("bot-")))
        rows = -(-len(statuses) // self._columns)
        width, height = TILE[0] + 4, TILE[1] + TEXT + 4
        wall = Image.new("RGB", (self._columns * width, rows * height), "#202020")
        pen, font = ImageDraw.Draw(wall), ImageFont.load_default(11)
        for number, status in enumerate(statuses):
            x, y = number % self._columns * width + 2, number // self._columns * height + 2
            screen = self._screen(status) if status.state is FleetState.RUNNING else None
            if screen is not None:
                wall.paste(screen.resize(TILE, Image.Resampling.BOX), (x, y))
            else:
                pen.text(
                    (x + TILE[0] / 2, y + TILE[1] / 2), status.state.value, "white", font, "mm"
                )
            text = f"{status.name} on {status.node}"
            if status.name in self.scores:
                text = f"{status.name}: {self.scores[status.name]} shot"
            colour = "#ffcc66" if status.generation > 1 else "#cccccc"
            pen.text((x, y + TILE[1] + 1), text, colour, font)
        wall.save(self._path)


def play(seconds: float, machine: kju.Machine) -> int:
    """Play for a time, and return the number of invaders that were shot."""
    invaders.bot(machine, time.monotonic() + seconds)
    return invaders.count_shot(machine.screen)


def ready(machine: kju.Machine) -> None:
    """Wait until the game has begun."""
    machine.screen.wait_for(lambda frame: invaders.seen(frame)[1] >= 0, timeout=LIMIT)


def next_start(fleet: Fleet, lost: FleetMachine) -> FleetMachine:
    """Wait until a lost machine runs again, and return this start of it."""
    until = time.monotonic() + LIMIT
    while True:
        status = lost.status()
        if status.state is FleetState.RUNNING and status.generation > lost.generation:
            return fleet.machine(lost.name)
        if status.state is FleetState.ENDED or time.monotonic() > until:
            raise RuntimeError(f"{lost.name} does not run again: {status.reason}")
        time.sleep(0.2)


def play_all(fleet: Fleet, bots: Sequence[FleetMachine], seconds: float, wall: Wall) -> None:
    """Play with all machines; those that are lost meanwhile play again where they are started."""
    todo = {bot.name: bot for bot in bots}
    game = functools.partial(play, seconds)
    while todo:
        lost = []
        for name, result in fleet.map(game, todo.values(), threads=True, return_errors=True):
            if isinstance(result, MachineLostError):
                lost.append(todo[name])
            elif isinstance(result, Exception):
                raise result
            else:
                wall.scores[name] = result
        if lost:
            print(f"{len(lost)} machines were lost with their node", flush=True)
        todo = {machine.name: next_start(fleet, machine) for machine in lost}
        if todo:
            nodes = ", ".join(sorted({machine.node for machine in todo.values()}))
            print(f"{len(todo)} machines run again on {nodes}", flush=True)


def add_node(cluster: Cluster, bots: int) -> object:
    """Add a node with room for all machines to a cluster on this computer."""
    return cluster.add_node(
        num_cpus=1,
        memory=(bots + 2) * (256 << 20),
        object_store_memory=80_000_000,
        include_dashboard=False,
        include_log_monitor=False,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="?", default=invaders.KERNEL)
    parser.add_argument("--bots", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60, help="of each game")
    parser.add_argument("--wall", default="wall.png")
    args = parser.parse_args(arguments)
    # The processes of the nodes do not find this module.
    ray.cloudpickle.register_pickle_by_value(invaders)
    cluster = Cluster()
    try:
        add_node(cluster, args.bots)
        ray.init(cluster.address, log_to_driver=False)
        with kju.fleet.open() as fleet:
            game = fleet.launch(name="game", image=args.kernel, memory="64M")
            list(fleet.map(ready, [game]))
            base = game.freeze("begin")
            node = add_node(cluster, args.bots)  # it gets a copy of the base
            while len(fleet.nodes()) < 2:
                time.sleep(0.1)
            run(fleet, base, args, lambda: cluster.remove_node(node, allow_graceful=False))
    finally:
        ray.shutdown()
        cluster.shutdown()


def run(
    fleet: Fleet, base: object, args: argparse.Namespace, kill_node: Callable[[], object]
) -> None:
    """Fork the game, play, and print the scores."""
    began = time.monotonic()
    bots = fleet.launch(
        args.bots, name="bot", fork=base, fork_memory="32M", spread=True, max_restarts=1
    )
    nodes = Counter(bot.node for bot in bots)
    print(f"{args.bots} forks in {time.monotonic() - began:.1f} s on", dict(nodes), flush=True)
    wall = Wall(fleet, args.wall)
    timer = threading.Timer(args.seconds / 2, kill_node)
    timer.start()
    try:
        play_all(fleet, bots, args.seconds, wall)
    finally:
        timer.cancel()
        wall.close()
    for bot in bots:
        status = bot.status()
        print(f"{bot.name} shot {wall.scores[bot.name]} (start {status.generation})")
    mean = sum(wall.scores.values()) / len(wall.scores)
    print(f"{len(wall.scores)} bots shot {mean:.1f} of {invaders.INVADERS} invaders on the average")


if __name__ == "__main__":
    main()
