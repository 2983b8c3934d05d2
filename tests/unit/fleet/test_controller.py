"""The controller, without keepers: who is told when."""

import asyncio

from support.fleet_world import GIB, spec

from kju.fleet import change_log
from kju.fleet.controller import FleetController
from kju.fleet.messages import EndOrder, FleetState, Held, KeeperReport, StartOrder
from kju.fleet.placement import NodeFacts, Room


class Scene:
    """A controller with one node; the test reports in its keeper's name."""

    def __init__(self):
        self.orders = []
        self.number = self.session = 0
        self.controller = FleetController(
            lambda _node, _session, order: self.orders.append(order), clock=lambda: 100.0
        )

    async def report(self, *, running=()):
        self.number += 1
        starts = [order.what for order in self.orders if isinstance(order.what, StartOrder)]
        held = tuple(Held(start, start.spec.name in running) for start in starts)
        facts = NodeFacts("n", Room(memory=8 * GIB))
        seen = len(self.orders) if self.session else 0
        grant = await self.controller.report(
            KeeperReport(facts, 1, self.number, self.session, seen, held)
        )
        self.session = grant.session


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
