"""SIGKILL of keepers, workers, raylets, heads and programs of a fleet, at random moments.

``KJU_KILLS=200`` kills two hundred times, and ``KJU_KILLS_SEED=N`` chooses other moments.
"""

from __future__ import annotations

import os

import pytest
from support import guests

pytest.importorskip("ray")
from benchmarks.fleet.kills import VICTIMS, killed

KILLS = int(os.environ.get("KJU_KILLS", "40"))
SEED = int(os.environ.get("KJU_KILLS_SEED", "1"))


@pytest.mark.soak
@pytest.mark.timeout(600 + 60 * KILLS)
@pytest.mark.filterwarnings("ignore")  # Ray warns of its own code
def test_kills_in_a_cluster_leave_no_machine_behind() -> None:
    guests.qemu()
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    found = killed("fleet", KILLS, SEED, tell)
    assert found.left == [], lines
    assert found.machines > KILLS / 4, "machines ran meanwhile"
    if len(VICTIMS) * 8 <= KILLS:
        assert found.kills.keys() == VICTIMS.keys()
