"""The simulation of a large fleet, made small: faults at random, on a pretended clock.

`SimulatedFleet` runs the product's controller, keepers and leases, and raises `PromiseBrokenError`
when a machine exists twice, is started twice, is lost without a word, or a node has too little
memory or disk. Times are those of the measurement beside it.
"""

import asyncio

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fleet_simulation.fleet import Plan, SimulatedFleet
from benchmarks.fleet_simulation.ledger import Breaches, Ledger, NodeUse, PromiseBrokenError
from benchmarks.fleet_simulation.loop import PretendedLoop, Process
from benchmarks.fleet_simulation.measured import Measured
from kju.fleet import roster
from kju.fleet.placement import Instance, Room

SMALL = Plan(
    nodes=4, machines=16, episodes=40, seconds=20.0, images=3,
    node=Room(memory=12 << 30, disk=50 * 10**9, processors=4),
)  # fmt: skip
#: Mean seconds between two faults of a kind; 0 for none.
OFTEN = st.sampled_from([0.0, 10.0, 30.0])


@pytest.fixture(autouse=True)
def no_logs(caplog):
    """Nodes are cut off all the time, and each keeper says so."""
    caplog.set_level("CRITICAL", "kju.fleet.keeper")


def simulated(plan: Plan) -> SimulatedFleet:
    fleet = SimulatedFleet(plan, Measured())
    fleet.run()
    return fleet


# Not shrunk: each example is a whole simulation.
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    kill=st.sampled_from([0.0, 60.0, 120.0]), stop=OFTEN, cut=OFTEN, keeper=OFTEN, crash=OFTEN,
    restarts=st.sampled_from([0, 1, -1]), seed=st.integers(0, 1 << 30),
)  # fmt: skip
def test_episodes_are_complete_once_each_whatever_happens(
    kill, stop, cut, keeper, crash, restarts, seed
):
    plan = SMALL._replace(
        kill_every=kill, stop_every=stop, cut_every=cut, keeper_every=keeper, crash_every=crash,
        max_restarts=restarts, seed=seed,
    )  # fmt: skip
    fleet = simulated(plan)
    assert fleet.completed == set(range(plan.episodes))
    assert len(fleet.ledger.started) >= plan.episodes
    assert fleet.highest_use <= 1
    # Each copy of an image is made once for all machines that wait for it.
    assert fleet.images.copies <= len(fleet.ledger.started)


def test_two_simulations_of_one_seed_are_the_same():
    first, second = (simulated(SMALL._replace(kill_every=60.0, seed=3)) for _ in range(2))
    assert first.loop.time() == second.loop.time()
    assert (first.faults, first.pictures, first.words) == (
        second.faults, second.pictures, second.words
    )  # fmt: skip


def test_a_fleet_that_starts_lost_machines_too_early_is_found(monkeypatch):
    monkeypatch.setattr(roster, "END_TIME", -10.0)
    with pytest.raises(PromiseBrokenError, match="exists beside"):
        simulated(SMALL._replace(cut_every=10.0, kill_every=0.0, max_restarts=-1))


def test_a_fleet_that_says_nothing_of_a_lost_machine_is_found(monkeypatch):
    change = roster.Roster._change

    def silent(self, record, state, *args):
        change(self, record, state, *args)
        if state is roster.FleetState.LOST:
            self.log._kept.pop()
            self.log.count -= 1

    monkeypatch.setattr(roster.Roster, "_change", silent)
    with pytest.raises(PromiseBrokenError, match="without a word"):
        simulated(SMALL._replace(crash_every=5.0, max_restarts=0))


def test_a_machine_beyond_the_memory_of_its_node_is_found():
    use = NodeUse("n", Room(memory=3, disk=1), Breaches())
    use.add(Room(memory=2), ())
    with pytest.raises(PromiseBrokenError, match="beyond its room"):
        use.add(Room(memory=2), ())


def test_a_second_start_and_a_second_machine_of_a_name_are_found():
    ledger = Ledger()
    ledger.begins(Instance("a", 1))
    with pytest.raises(PromiseBrokenError, match="started twice"):
        ledger.begins(Instance("a", 1))
    with pytest.raises(PromiseBrokenError, match="exists beside"):
        ledger.begins(Instance("a", 2))


def test_a_stopped_process_continues_where_it_was_and_an_ended_one_never():
    loop = PretendedLoop()
    done = []

    async def tick(name):
        for number in range(3):
            await asyncio.sleep(1)
            done.append((name, number, loop.time()))

    async def main():
        stopped, ended = Process(), Process()
        loop.begin(Process(stopped), tick("stopped"))
        loop.begin(ended, tick("ended"))
        await asyncio.sleep(1.5)
        stopped.stop()
        ended.end()
        await asyncio.sleep(10)
        loop.resume(stopped)
        await asyncio.sleep(10)
        return list(done)

    assert loop.run(main()) == [
        ("stopped", 0, 1.0), ("ended", 0, 1.0), ("stopped", 1, 11.5), ("stopped", 2, 12.5),
    ]  # fmt: skip
