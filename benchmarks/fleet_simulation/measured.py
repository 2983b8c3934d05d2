"""The times of the simulation, from a file of measurements.

`python -m benchmarks.fleet_simulation.measured` measures them anew on this computer: real machines
of the sample guest, and real calls of an actor on Ray.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from random import Random

FILE = Path(__file__).with_name("measured.json")
#: Machines and calls that are measured.
MACHINES, CALLS = 30, 300


class Measured:
    """Times of real machines and of Ray, drawn from the measured ones.

    Args:
        file: The measurements.
    """

    def __init__(self, file: Path = FILE) -> None:
        found = json.loads(file.read_text())
        self.source: str = found["source"]
        self._start: list[float] = found["start"]
        self._picture: list[float] = found["picture"]
        self._stop: list[float] = found["stop"]
        self._call: list[float] = found["call"]

    def start(self, random: Random) -> float:
        """Return the seconds from a launch to a machine that runs."""
        return random.choice(self._start)

    def picture(self, random: Random) -> float:
        """Return the seconds from there to the guest's first picture."""
        return random.choice(self._picture)

    def stop(self, random: Random) -> float:
        """Return the seconds of a stop."""
        return random.choice(self._stop)

    def one_way(self, random: Random) -> float:
        """Return half the seconds of a call of an actor of Ray."""
        return random.choice(self._call) / 2


def _machines() -> dict[str, list[float]]:
    import kju

    from .. import guests
    from ..start import until_size

    times: dict[str, list[float]] = {"start": [], "picture": [], "stop": []}
    for number in range(MACHINES):
        begin = time.monotonic()
        with kju.launch(
            name=f"kju-measured-{number}", args=guests.paint("still", "virtio-vga")
        ) as machine:
            runs = time.monotonic()
            until_size(machine, (1280, 800))
            shown = time.monotonic()
            machine.stop()
            times["stop"].append(time.monotonic() - shown)
        times["start"].append(runs - begin)
        times["picture"].append(shown - runs)
        print(number, {name: round(values[-1], 3) for name, values in times.items()}, flush=True)
    return times


def _calls() -> list[float]:
    import ray

    @ray.remote
    class Actor:
        def answer(self, what: int) -> int:
            return what

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        actor = Actor.remote()  # type: ignore[attr-defined]
        ray.get(actor.answer.remote(0))
        times = []
        for number in range(CALLS):
            begin = time.monotonic()
            ray.get(actor.answer.remote(number))
            times.append(time.monotonic() - begin)
        return times
    finally:
        ray.shutdown()


def main() -> None:
    from ..__main__ import machine

    times = _machines() | {"call": _calls()}
    rounded = {name: [round(each, 4) for each in values] for name, values in times.items()}
    load = f"load {os.getloadavg()[0]:.0f}"
    FILE.write_text(json.dumps({"source": f"{machine()}, {load}", **rounded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
