"""The controller's decisions: places, generations, losses, owners and a restart of its own."""

import time

import pytest
from support.fleet_world import GIB, World, spec

from kju.errors import FleetFullError, MachineExistsError, MachineNotFoundError, UsageError
from kju.fleet import change_log
from kju.fleet import roster as rosters
from kju.fleet.keeping import Keeping
from kju.fleet.messages import (
    END_TIME,
    LEASE,
    SILENT_AFTER,
    EndOrder,
    FleetState,
    Gone,
    Grant,
    Held,
    KeeperReport,
    StartOrder,
)
from kju.fleet.placement import Instance, NodeFacts, Room
from kju.fleet.roster import Roster

PLACING, STARTING, RUNNING, LOST, ENDED = FleetState


class OneNode:
    """A roster with nodes that report as they are told to."""

    def __init__(self, *names, memory=4, **options):
        self.now = 100.0
        self.roster = Roster(**options)
        self.total = Room(memory=memory * GIB, tmpfs=GIB)
        self.numbers = dict.fromkeys(names, 0)
        self.sessions = dict.fromkeys(names, 0)
        for name in names:
            self.report(name)

    def report(
        self, node="n", *, keeper=1, seen=0, held=(), gone=(), number=None, session=None,
        draining=False,
    ):  # fmt: skip
        self.numbers[node] = number or self.numbers[node] + 1
        report = KeeperReport(
            NodeFacts(node, self.total), keeper, self.numbers[node],
            self.sessions[node] if session is None else session, seen,
            tuple(held), tuple(gone), draining,
        )  # fmt: skip
        grant = self.roster.report(report, self.now)
        if grant is not None:
            self.sessions[node] = grant.session
        return grant

    def submit(self, *specs):
        return self.roster.submit(specs, self.now)

    def tick(self, seconds):
        self.now += seconds
        self.roster.tick(self.now)

    def state(self, name="a"):
        return self.roster.status(name).state

    def generation(self, name="a"):
        return self.roster.status(name).generation


def held(name="a", generation=1, *, running=True, **more):
    return Held(StartOrder(spec(name, **more), generation), running)


def gone(name="a", generation=1, kind="lost"):
    return Gone(Instance(name, generation), kind, "QEMU was killed")


def test_a_machine_is_ordered_started_and_kept():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    [sent] = fleet.roster.take_orders()
    assert (sent.node, sent.session, sent.order.what) == ("n", fleet.sessions["n"], held().start)
    assert fleet.state() is STARTING
    assert not fleet.roster.take_orders()
    grant = fleet.report(seen=1, held=[held()])
    assert grant.keep == {Instance("a", 1)}
    assert not grant.orders
    assert fleet.state() is RUNNING


def test_an_order_is_sent_again_until_it_has_arrived():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    assert [order.number for order in fleet.report(seen=0).orders] == [1]
    assert fleet.state() is STARTING
    assert not fleet.report(seen=1, held=[held(running=False)]).orders


def test_of_several_machines_all_are_placed_or_none():
    fleet = OneNode("n")
    with pytest.raises(FleetFullError):
        fleet.submit(spec("a", 3), spec("b", 3))
    assert not fleet.roster.statuses()
    assert fleet.roster.nodes()["n"].used == Room()
    fleet.submit(spec("a", 2), spec("b", 2))
    assert fleet.roster.nodes()["n"].used == Room(memory=4 * GIB)


def test_a_name_is_taken_until_its_machine_has_ended_for_certain():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    with pytest.raises(MachineExistsError, match="starting on n"):
        fleet.submit(spec("a"))
    with pytest.raises(UsageError, match="twice"):
        fleet.submit(spec("b"), spec("b"))
    fleet.report(seen=1, held=[held()])
    fleet.roster.end("a", "asked", fleet.now)
    with pytest.raises(MachineExistsError):
        fleet.submit(spec("a"))
    fleet.report(seen=2, gone=[gone(kind="ended")])
    assert fleet.state() is ENDED
    assert fleet.roster.nodes()["n"].used == Room()
    fleet.submit(spec("a"))
    assert fleet.generation() == 2


def test_a_machine_that_is_to_end_is_not_renewed():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    fleet.report(seen=1, held=[held()])
    fleet.roster.end("a", "asked", fleet.now)
    grant = fleet.report(seen=1, held=[held()])
    assert grant.keep == frozenset()
    assert [order.what for order in grant.orders] == [EndOrder(Instance("a", 1))]


def test_a_machine_that_is_to_end_is_not_started_again_when_it_is_lost():
    fleet = OneNode("n")
    fleet.submit(spec("a", max_restarts=-1))
    fleet.report(seen=1, held=[held()])
    fleet.roster.end("a", "asked", fleet.now)
    fleet.report(seen=1, gone=[gone()])
    assert fleet.state() is ENDED
    assert fleet.roster.status("a").reason == "asked"


def test_a_lost_machine_is_started_again_as_often_as_allowed():
    fleet = OneNode("n")
    fleet.submit(spec("a", max_restarts=1))
    fleet.report(seen=1, held=[held()])
    fleet.report(seen=1, gone=[gone()])
    assert (fleet.state(), fleet.generation()) == (STARTING, 2)
    fleet.report(seen=2, gone=[gone(generation=2)])
    assert (fleet.state(), fleet.generation()) == (LOST, 2)
    assert [(s.state, s.generation) for s in fleet.roster.log.since(0)] == [
        (STARTING, 1), (RUNNING, 1), (LOST, 1), (PLACING, 1), (STARTING, 2), (LOST, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["ended", "failed"])
def test_a_machine_that_ends_by_itself_or_does_not_start_is_not_started_again(kind):
    fleet = OneNode("n")
    fleet.submit(spec("a", max_restarts=-1))
    fleet.report(seen=1, gone=[gone(kind=kind)])
    assert (fleet.state(), fleet.roster.status("a").reason) == (ENDED, "QEMU was killed")


def test_machines_of_a_node_are_lost_when_its_last_grant_has_run_out():
    fleet = OneNode("n", "m")
    fleet.submit(spec("a", max_restarts=1))
    node = fleet.roster.status("a").node
    fleet.report(node, seen=1, held=[held()])
    fleet.tick(LEASE + END_TIME)
    assert fleet.state() is RUNNING
    other = "m" if node == "n" else "n"
    fleet.report(other)
    fleet.tick(0.1)
    status = fleet.roster.status("a")
    assert (status.state, status.generation, status.node) == (STARTING, 2, other)
    assert any("has not reported" in change.reason for change in fleet.roster.log.since(0))
    assert list(fleet.roster.nodes()) == [other]


def test_a_lost_machine_waits_for_room_and_says_so():
    fleet = OneNode("n")
    fleet.submit(spec("a", 3, max_restarts=1))
    fleet.report(seen=1, held=[held(memory=3)])
    fleet.tick(LEASE + END_TIME + 1)
    assert fleet.state() is PLACING
    assert fleet.roster.status("a").reason == "the fleet has no node"
    fleet.numbers["m"] = fleet.sessions["m"] = 0
    fleet.report("m")
    assert (fleet.state(), fleet.roster.status("a").node) == (STARTING, "m")


def test_machines_of_a_silent_node_have_a_reason_until_it_reports_again():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    fleet.report(seen=1, held=[held()])
    since = fleet.roster.status("a").since
    fleet.tick(SILENT_AFTER)
    assert (fleet.state(), fleet.roster.status("a").reason) == (RUNNING, "")
    fleet.tick(0.1)
    fleet.tick(0.1)
    status = fleet.roster.status("a")
    assert (status.state, status.since) == (RUNNING, since)
    assert status.reason == "its node n has not reported for 7 s"
    assert fleet.roster.nodes()["n"].silent
    assert fleet.roster.log.count == 3
    fleet.report(seen=1, held=[held()])
    assert (fleet.state(), fleet.roster.status("a").reason) == (RUNNING, "")
    assert not fleet.roster.nodes()["n"].silent
    assert fleet.roster.log.count == 4


def test_a_silent_node_gets_a_machine_only_if_no_other_has_room():
    fleet = OneNode("n", "m")
    fleet.tick(SILENT_AFTER + 0.1)
    fleet.report("n")
    fleet.submit(spec("a", 3), spec("b", 3))
    assert [fleet.roster.status(name).node for name in "ab"] == ["n", "m"]


def test_a_restarted_keeper_that_does_not_find_a_machine_leaves_its_name_taken():
    fleet = OneNode("n", "m")
    fleet.submit(spec("a", max_restarts=1))
    node = fleet.roster.status("a").node
    fleet.report(node, seen=1, held=[held()])
    # The host may hang: nothing says that it has ended.
    grant = fleet.report(node, keeper=2, number=1)
    assert fleet.state() is LOST
    assert grant.keep == frozenset()
    for _ in range(8):
        fleet.tick((LEASE + END_TIME) / 8)
        fleet.report("n", keeper=2 if node == "n" else 1)
        fleet.report("m", keeper=2 if node == "m" else 1)
    assert fleet.state() is LOST
    fleet.tick(0.1)
    assert (fleet.state(), fleet.generation()) == (STARTING, 2)


def test_a_restarted_keeper_gets_the_starts_that_it_does_not_know():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    # Its last process had taken seven orders.
    grant = fleet.report(keeper=2, number=1, seen=7)
    assert [order.what for order in grant.orders] == [held().start]
    assert fleet.state() is STARTING
    assert grant.keep == {Instance("a", 1)}


def test_an_order_to_end_outlives_its_session():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    fleet.report(seen=1, held=[held()])
    fleet.roster.end("a", "asked", fleet.now)
    grant = fleet.report(keeper=2, number=1, held=[held()])
    assert [order.what for order in grant.orders] == [EndOrder(Instance("a", 1))]


def test_a_report_that_was_overtaken_changes_nothing():
    fleet = OneNode("n")
    fleet.report(number=7)
    fleet.submit(spec("a"))
    fleet.report(number=8, seen=1, held=[held()])
    assert fleet.report(number=7, seen=1) is None
    assert fleet.state() is RUNNING


def test_a_machine_that_the_fleet_does_not_know_is_ended_and_takes_room_until_then():
    fleet = OneNode("n")
    grant = fleet.report(held=[held("old")])
    assert [order.what for order in grant.orders] == [EndOrder(Instance("old", 1))]
    assert grant.keep == frozenset()
    with pytest.raises(FleetFullError):
        fleet.submit(spec("a", 4))
    fleet.report(seen=1)
    fleet.submit(spec("a", 4))


def test_the_machines_of_an_owner_end_with_it():
    fleet = OneNode("n")
    fleet.submit(spec("a", owner="me"), spec("b"))
    fleet.tick(LEASE - 1)
    fleet.report(seen=2, held=[held("a", owner="me"), held("b")])
    fleet.roster.renew_owner("me", fleet.now)
    fleet.tick(LEASE)
    assert not fleet.roster.take_orders()[2:]
    fleet.report(seen=2, held=[held("a", owner="me"), held("b")])
    fleet.tick(0.1)
    assert [sent.order.what for sent in fleet.roster.take_orders()] == [EndOrder(Instance("a", 1))]
    fleet.report(seen=3, held=[held("b")], gone=[gone(kind="ended")])
    assert fleet.roster.status("a").reason == "its owner me has ended"
    assert fleet.state("b") is RUNNING


def test_a_drained_node_gets_no_machine_even_after_its_keeper_was_restarted():
    fleet = OneNode("n")
    fleet.submit(spec("a"))
    assert fleet.roster.drain("n") == ["a"]
    fleet.report(keeper=2, number=1)
    with pytest.raises(FleetFullError, match="drained"):
        fleet.submit(spec("b"))
    with pytest.raises(UsageError, match="nodes: n"):
        fleet.roster.drain("m")


def test_a_restarted_controller_takes_in_what_runs():
    fleet = OneNode("n", recover_until=110.0, first_session=1_000)
    with pytest.raises(UsageError, match="restarted"):
        fleet.submit(spec("b"))
    grant = fleet.report(session=7, seen=9, held=[held(generation=3, owner="me")])
    assert grant.session >= 1_000
    assert grant.keep == {Instance("a", 3)}
    assert not grant.orders
    assert (fleet.state(), fleet.generation()) == (RUNNING, 3)
    fleet.tick(11)
    assert not fleet.roster.recovering(fleet.now)
    with pytest.raises(FleetFullError):
        fleet.submit(spec("b", 4))
    fleet.tick(LEASE - 11 + 0.1)
    assert [sent.order.what for sent in fleet.roster.take_orders()] == [EndOrder(Instance("a", 3))]


def test_a_restarted_controller_keeps_the_newest_of_two_instances():
    fleet = OneNode("n", "m", recover_until=110.0)
    fleet.report("n", held=[held(generation=1)])
    fleet.report("m", held=[held(generation=2)])
    assert (fleet.roster.status("a").node, fleet.generation()) == ("m", 2)
    grant = fleet.report("n", held=[held(generation=1)])
    assert grant.keep == frozenset()
    assert EndOrder(Instance("a", 1)) in [order.what for order in grant.orders]


def test_machines_that_ended_long_ago_are_forgotten_and_no_generation_is_repeated(monkeypatch):
    monkeypatch.setattr(rosters, "MAX_OVER", 10)
    fleet = OneNode("n")
    for number in range(100):
        name = f"a-{number}"
        fleet.now += 1
        fleet.submit(spec(name))
        fleet.roster.end(name, "asked", fleet.now)
        fleet.report(seen=2 * number + 2, gone=[gone(name, fleet.generation(name), "ended")])
    left = [status.name for status in fleet.roster.statuses()]
    assert 10 <= len(left) < 15
    assert "a-99" in left
    fleet.submit(spec("a-0"))
    assert fleet.generation("a-0") > 1


def test_free_names_leave_out_those_of_the_fleet():
    fleet = OneNode("n")
    fleet.submit(spec("a-1"), spec("a-3"))
    assert fleet.roster.free_names("a", 3) == ["a-2", "a-4", "a-5"]


def test_two_programs_that_launch_at_once_get_different_names():
    roster = OneNode("n").roster
    first, second = roster.free_names("m", 2), roster.free_names("m", 2)
    assert (first, second) == (["m-1", "m-2"], ["m-3", "m-4"])
    # A launch that finds no room gives its names back.
    with pytest.raises(FleetFullError):
        roster.submit([spec(name, memory=1000 * GIB) for name in first], 100.0)
    assert roster.free_names("m", 3) == ["m-1", "m-2", "m-5"]


def test_an_owner_that_closes_the_fleet_ends_its_machines_at_once():
    fleet = OneNode("n")
    fleet.submit(spec("a", owner="me"), spec("b", owner="you"))
    fleet.roster.take_orders()
    fleet.roster.forget_owner("me", fleet.now)
    assert [sent.order.what for sent in fleet.roster.take_orders()] == [EndOrder(Instance("a", 1))]


def test_an_unknown_machine_is_reported():
    with pytest.raises(MachineNotFoundError):
        OneNode("n").roster.end("a", "asked", 100.0)


def test_a_node_that_was_stopped_for_long_and_is_back_has_no_machine_twice():
    world = World()
    for _ in range(2):
        world.add_node(Room(memory=4 * GIB))
    world.run(3)
    world.submit([spec("a", max_restarts=1)])
    world.run(3)
    first = world.nodes[world.roster.status("a").node]
    first.stopped = True
    world.run(30)
    assert world.roster.status("a").generation == 2
    first.stopped = False
    world.run(30)
    assert [host.start.generation for _, host in world.living()] == [2]


def test_changes_since_a_count_are_the_newer_ones_as_far_as_they_are_kept(monkeypatch):
    monkeypatch.setattr(change_log, "MAX_CHANGES", 3)
    roster = OneNode("n").roster
    assert roster.log.since(0) == []
    roster.submit([spec("a"), spec("b")], 100.0)
    assert [status.name for status in roster.log.since(1)] == ["b"]
    assert roster.log.since(roster.log.count) == []
    roster.submit([spec("c"), spec("d")], 100.0)
    assert [status.name for status in roster.log.since(0)] == ["b", "c", "d"]


def test_a_restarted_controller_knows_the_nodes_that_are_drained():
    fleet = OneNode("n")
    assert not fleet.report().draining
    fleet.roster.drain("n")
    assert fleet.report().draining
    # The new process learns it of the keeper, before it places anything.
    restarted = Roster(first_session=100, recover_until=17.0)
    keeping = Keeping(1)
    asked = keeping.ask(NodeFacts("n", Room(memory=GIB)), 0.0)
    assert not asked.report.draining
    keeping.granted(Grant(1, draining=True), asked, 0.0)
    asked = keeping.ask(NodeFacts("n", Room(memory=GIB)), 0.0)
    grant = restarted.report(asked.report, 1.0)
    assert grant is not None and grant.draining
    restarted.report(keeping.ask(asked.report.facts, 2.0).report, 16.5)
    with pytest.raises(FleetFullError, match="n is being drained"):
        restarted.submit([spec("a")], 17.0)


def test_the_logs_of_a_lost_machine_are_in_that_change_only():
    fleet = OneNode("n")
    fleet.submit(spec("a", max_restarts=1))
    fleet.report(seen=1, held=[held()])
    lost = Gone(Instance("a", 1), "lost", "QEMU was killed", ("host.log: QEMU was killed",))
    fleet.report(seen=1, gone=[lost])
    logs = [(status.state, status.log) for status in fleet.roster.log.since(0) if status.log]
    assert logs == [(FleetState.LOST, lost.log)]
    assert fleet.roster.status("a").log == ()


def test_a_lost_machine_is_not_started_again_on_a_silent_node():
    fleet = OneNode("n", "m")
    fleet.submit(spec("a", max_restarts=1))
    node = fleet.roster.status("a").node
    other = "m" if node == "n" else "n"
    fleet.report(node, seen=1, held=[held()])
    # Both are cut off; the one with the machine was heard of first.
    fleet.tick(3)
    fleet.report(other)
    fleet.tick(LEASE + END_TIME - 2)
    status = fleet.roster.status("a")
    assert (status.state, status.generation) == (PLACING, 1)
    fleet.tick(60)
    assert fleet.state() is PLACING and fleet.roster.nodes() == {}
    fleet.report(other)
    status = fleet.roster.status("a")
    assert (status.state, status.generation, status.node) == (STARTING, 2, other)


def test_all_nodes_that_are_lost_at_once_are_noted_before_anything_is_placed():
    fleet = OneNode("n", "m", "o", memory=2)
    names = [f"a{number}" for number in range(6)]
    fleet.submit(*(spec(name, max_restarts=1) for name in names))
    # The controller was stopped for longer than a lease.
    fleet.tick(LEASE + END_TIME + 1)
    assert {fleet.state(name) for name in names} == {PLACING}
    for node in "nmo":
        fleet.report(node)
    assert {(fleet.state(name), fleet.roster.status(name).generation) for name in names} == {
        (STARTING, 2)
    }


def test_the_loss_of_all_nodes_takes_time_in_proportion_to_their_machines():
    def seconds(count):
        fleet = OneNode("n", memory=count)
        fleet.submit(*(spec(f"a{number}", max_restarts=1) for number in range(count)))
        begin = time.process_time()
        fleet.tick(LEASE + END_TIME + 1)
        return time.process_time() - begin

    few, many = (min(seconds(count) for _ in range(3)) for count in (500, 4000))
    assert many < 40 * few  # 8 times, and 64 times if each looked at all others


def test_an_error_for_a_lost_start_says_where_it_was_and_when():
    fleet = OneNode("n", wall=1_000_000.0)
    fleet.submit(spec("a"))
    fleet.report(seen=1, held=[held()])
    fleet.tick(3)
    fleet.report(seen=1, gone=[gone()])
    error = fleet.roster.log.lost("a", 1)
    assert (error.node, error.when, error.generation) == ("n", 1_000_103.0, 1)
    assert str(error) == "start 1 of 'a' is no longer on n: QEMU was killed"
    assert fleet.roster.log.lost("b", 7).when is None


def test_a_report_from_before_the_end_of_a_drain_does_not_drain_the_node_again():
    fleet = OneNode("n")
    fleet.roster.drain("n")
    assert fleet.report().draining
    fleet.roster.drain("n", False)
    # The keeper repeats what its newest grant had.
    assert not fleet.report(draining=True).draining
    fleet.submit(spec("a"))
    # A restarted controller knows a drained node by that only.
    other = OneNode("n")
    other.roster = Roster()
    assert other.report(draining=True).draining
