"""The controller, without keepers: who is told when."""

import asyncio
import time

import pytest
from support.fleet_world import GIB, spec

from kju.errors import MachineLostError
from kju.fleet import change_log
from kju.fleet.controller import FleetController
from kju.fleet.messages import EndOrder, FleetState, Gone, Held, KeeperReport, StartOrder
from kju.fleet.placement import Instance, NodeFacts, Room


class Scene:
    """A controller with one node; the test reports in its keeper's name."""

    def __init__(self):
        self.orders = []
        self.number = self.session = self.seen = 0
        self.gone = set()
        self.controller = FleetController(
            lambda _node, _session, order: self.orders.append(order), clock=lambda: 100.0
        )

    async def report(self, *, running=(), gone=(), held=None):
        """Report all machines that were ordered, without those that have gone.

        Args:
            running: Those that have started.
            gone: Those that have ended.
            held: The only ones that are known; an order for another one has not arrived.
        """
        self.number += 1
        self.gone.update(each.instance for each in gone)
        ordered = [order.what for order in self.orders if isinstance(order.what, StartOrder)]
        starts = [
            each
            for each in ordered
            if each.instance not in self.gone and (held is None or each.spec.name in held)
        ]
        facts = NodeFacts("n", Room(memory=8 * GIB))
        seen = len(self.orders) if self.session and held is None else self.seen
        self.seen = seen
        grant = await self.controller.report(
            KeeperReport(
                facts, 1, self.number, self.session, seen,
                tuple(Held(each, each.spec.name in running) for each in starts), tuple(gone),
            )
        )  # fmt: skip
        self.session = grant.session


def gone(name, kind, generation=1):
    return Gone(Instance(name, generation), kind, "no space")


async def test_each_launch_returns_when_its_own_machines_run():
    scene = Scene()
    await scene.report()
    launches = [asyncio.create_task(scene.controller.launch([spec(name)])) for name in "ab"]
    await asyncio.sleep(0)
    await scene.report(running={"b"})
    (status,) = await launches[1]
    assert (status.name, status.state) == ("b", FleetState.RUNNING)
    assert not launches[0].done()
    await scene.report(running={"a", "b"})
    assert (await launches[0])[0].state is FleetState.RUNNING


async def test_an_owner_that_closes_the_fleet_has_its_machines_told_to_end_at_once():
    scene = Scene()
    await scene.report()
    launch = asyncio.create_task(scene.controller.launch([spec("a", owner="user")]))
    await asyncio.sleep(0)
    await scene.report(running={"a"})
    await launch
    scene.controller.forget_owner("user")
    assert [type(order.what) for order in scene.orders] == [StartOrder, EndOrder]


async def scene_with_a_machine():
    scene = Scene()
    await scene.report()
    launch = asyncio.create_task(scene.controller.launch([spec("a")]))
    await asyncio.sleep(0)
    await scene.report(running={"a"})
    await launch
    return scene


def states(changes):
    return [(status.name, status.state) for status in changes.statuses]


async def test_changes_since_a_mark_are_the_newer_ones():
    scene = await scene_with_a_machine()
    first = scene.controller.changes(None)
    assert states(first) == [("a", FleetState.STARTING), ("a", FleetState.RUNNING)]
    assert scene.controller.changes(first.mark).statuses == ()
    launch = asyncio.create_task(scene.controller.launch([spec("b")]))
    await asyncio.sleep(0)
    found = scene.controller.changes(first.mark)
    assert (states(found), found.missed) == ([("b", FleetState.STARTING)], 0)
    launch.cancel()


async def test_a_mark_of_the_last_process_stands_for_the_begin():
    scene = await scene_with_a_machine()
    process, number = scene.controller.changes(None).mark
    found = scene.controller.changes((process - 1, number + 5))
    assert (len(found.statuses), found.missed) == (2, 0)


async def test_changes_that_are_no_longer_kept_are_counted(monkeypatch):
    monkeypatch.setattr(change_log, "MAX_CHANGES", 1)
    scene = await scene_with_a_machine()
    process, _ = scene.controller.changes(None).mark
    found = scene.controller.changes((process, 0))
    assert (states(found), found.missed) == ([("a", FleetState.RUNNING)], 1)


async def launched(scene, *names, **options):
    """Begin a launch; its orders have been sent afterwards."""
    specs = [spec(name, **options) for name in names]
    launch = asyncio.create_task(scene.controller.launch(specs, "a launch"))
    await asyncio.sleep(0)
    return launch


async def test_a_launch_fails_with_its_first_machine_that_does_not_start():
    scene = Scene()
    await scene.report()
    launch = await launched(scene, "a", "b")
    # "a" may still copy an image for an hour.
    await scene.report(gone=[gone("b", "failed")])
    with pytest.raises(MachineLostError, match="'b' did not start on n: no space") as raised:
        await launch
    assert raised.value.when == pytest.approx(time.time(), abs=60)
    await scene.report(gone=[gone("a", "ended")])
    assert scene.controller.status("a").reason == "another one of its launch did not start"


async def test_a_launch_takes_no_machine_of_another_program_for_its_own():
    scene = Scene()
    await scene.report()
    launch = await launched(scene, "a", "b")
    await scene.report(gone=[gone("b", "failed")])
    other = await launched(scene, "b")
    await scene.report(running={"b"}, gone=[gone("a", "ended")])
    with pytest.raises(MachineLostError):
        await launch
    (status,) = await other
    assert (status.state, status.generation) == (FleetState.RUNNING, 2)
    assert scene.controller.status("b") == status


async def test_a_launch_fails_if_a_machine_is_lost_before_the_last_one_runs():
    scene = Scene()
    await scene.report()
    launch = await launched(scene, "a", "b")
    await scene.report(running={"a"})
    await scene.report(gone=[gone("a", "lost")])
    with pytest.raises(MachineLostError, match="start 1 of 'a' is no longer on n: no space"):
        await launch


async def test_a_launch_waits_for_a_machine_that_is_started_again():
    scene = Scene()
    await scene.report()
    launch = await launched(scene, "a", "b", max_restarts=1)
    await scene.report(running={"a"})
    await scene.report(gone=[gone("a", "lost")])
    await scene.report(running={"b"}, held={"b"})
    assert not launch.done()
    await scene.report(running={"a", "b"})
    assert [(s.state, s.generation) for s in await launch] == [
        (FleetState.RUNNING, 2), (FleetState.RUNNING, 1),
    ]  # fmt: skip


async def test_an_abandoned_launch_leaves_no_machine():
    scene = Scene()
    await scene.report()
    launch = await launched(scene, "a", "b")
    await scene.report(running={"a"})
    scene.controller.abandon("another launch")
    scene.controller.abandon("a launch")
    with pytest.raises(asyncio.CancelledError):
        await launch
    assert [order.what for order in scene.orders[2:]] == [
        EndOrder(Instance("a", 1)), EndOrder(Instance("b", 1)),
    ]  # fmt: skip


async def test_a_launch_that_is_over_can_be_abandoned_too():
    scene = Scene()
    await scene.report()
    launch = await launched(scene, "a", max_restarts=1)
    await scene.report(gone=[gone("a", "lost")])
    await scene.report(running={"a"})
    assert (await launch)[0].generation == 2
    # Its program was interrupted before it got the machines.
    scene.controller.abandon("a launch")
    assert scene.orders[-1].what == EndOrder(Instance("a", 2))


async def test_an_old_start_is_not_what_ends_a_later_one():
    scene = await scene_with_a_machine()
    await scene.report(gone=[gone("a", "lost")])
    launch = await launched(scene, "a")
    await scene.report(running={"a"})
    await launch
    with pytest.raises(MachineLostError, match="start 1 of 'a' is no longer on n"):
        await scene.controller.end("a", "asked", 1)
    assert scene.controller.status("a").state is FleetState.RUNNING
