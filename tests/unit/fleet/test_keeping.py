"""A keeper's permission to run machines: grants, orders and reports."""

from kju.fleet.keeping import Keeping, Todo
from kju.fleet.messages import (
    LEASE,
    EndOrder,
    Gone,
    Grant,
    Held,
    KeeperOrder,
    MachineSpec,
    StartOrder,
)
from kju.fleet.placement import Demand, Instance, NodeFacts, Room

FACTS = NodeFacts("n1", Room())
A, B = StartOrder(MachineSpec("a"), 1), StartOrder(MachineSpec("b"), 1)


def start(number, what=A):
    return KeeperOrder(number, what)


def end(number, instance=A.instance):
    return KeeperOrder(number, EndOrder(instance))


def granted(keeping, *orders, session=5, keep=(), asked_at=100.0, now=100.0):
    asked = keeping.ask(FACTS, asked_at)
    return keeping.granted(Grant(session, frozenset(keep), orders), asked, now)


def test_a_lease_is_counted_from_the_report_and_not_from_its_answer():
    keeping = Keeping(1)
    todo = granted(keeping, start(1), asked_at=100, now=110)
    assert todo == Todo(start=(A,), until=100 + LEASE)
    assert granted(keeping, keep=[A.instance], asked_at=112, now=120).until == 112 + LEASE


def test_an_answer_that_was_overtaken_is_ignored():
    keeping = Keeping(1)
    late = keeping.ask(FACTS, 100.0)
    granted(keeping, asked_at=102, now=103)
    assert keeping.granted(Grant(6, frozenset(), (start(1),)), late, 104.0) == Todo()
    assert keeping.until == 102 + LEASE


def test_only_machines_that_the_controller_keeps_are_renewed():
    keeping = Keeping(1, (A, B))
    todo = granted(keeping, keep=[B.instance, Instance("c", 1)])
    assert todo.renew == (B.instance,)


def test_the_copies_of_machines_that_run_are_room_of_the_node():
    copy = MachineSpec("c", Demand(Room(copies=50)))
    keeping = Keeping(1, (StartOrder(copy, 1),))
    facts = NodeFacts("n1", Room(memory=7, copies=100))
    # The disk has 100 free bytes, without those of the copy.
    assert keeping.ask(facts, 100.0).report.facts == NodeFacts("n1", Room(memory=7, copies=150))
    granted(keeping, start(1, StartOrder(MachineSpec("d", Demand(Room(copies=30))), 1)))
    # The copy of one that starts may be written later.
    assert keeping.ask(facts, 101.0).report.facts.total.copies == 150


def test_an_order_is_carried_out_once():
    keeping = Keeping(1)
    assert granted(keeping, start(1)).start == (A,)
    assert granted(keeping, start(1), start(2, B)).start == (B,)
    assert keeping.ordered(5, start(2, B), 101.0) == Todo()
    assert keeping.ask(FACTS, 101.0).report.seen == 2


def test_an_order_that_overtook_another_one_waits_for_its_turn():
    keeping = Keeping(1)
    granted(keeping)
    assert keeping.ordered(5, end(2), 101.0) == Todo()
    assert keeping.ordered(5, start(1), 101.0).start == (A,)
    assert keeping.ordered(5, end(2), 101.0).end == (A.instance,)


def test_an_order_of_another_session_is_ignored():
    keeping = Keeping(1)
    granted(keeping)
    assert keeping.ordered(4, start(1), 101.0) == Todo()


def test_the_orders_of_a_new_session_begin_at_one():
    keeping = Keeping(1)
    granted(keeping, start(1))
    assert granted(keeping, start(1, B), session=6).start == (B,)


def test_nothing_starts_after_the_grant_has_ended():
    keeping = Keeping(1)
    granted(keeping, asked_at=100)
    assert keeping.ordered(5, start(1), 100 + LEASE) == Todo()
    assert keeping.ask(FACTS, 116.0).report.seen == 0


def test_a_machine_that_runs_already_is_not_started_again():
    keeping = Keeping(1, (A,))
    assert granted(keeping, start(1)).start == ()
    assert keeping.ask(FACTS, 101.0).report.held == (Held(A, running=True),)


def test_a_start_that_has_finished_is_reported():
    keeping = Keeping(1)
    granted(keeping, start(1))
    assert keeping.ask(FACTS, 101.0).report.held == (Held(A, running=False),)
    keeping.started(A.instance)
    keeping.started(B.instance)
    assert keeping.ask(FACTS, 102.0).report.held == (Held(A, running=True),)


def test_an_end_is_reported_until_it_is_answered():
    keeping = Keeping(1, (A,))
    gone = Gone(A.instance, "lost", "QEMU was killed")
    keeping.gone(gone)
    keeping.gone(gone)
    assert keeping.ask(FACTS, 100.0).report.gone == (gone,)
    asked = keeping.ask(FACTS, 102.0)
    assert asked.report.gone == (gone,)
    other = Gone(B.instance, "lost", "the same")
    keeping.held[B.instance] = Held(B, running=True)
    keeping.gone(other)
    keeping.granted(Grant(5), asked, 103.0)
    assert keeping.ask(FACTS, 104.0).report.gone == (other,)


def test_each_machine_has_the_end_of_the_newest_grant_that_names_it():
    keeping = Keeping(1, (B,))
    assert keeping.until_of == {}
    granted(keeping, start(1), keep=[B.instance], asked_at=100)
    assert keeping.until_of == {A.instance: 100 + LEASE, B.instance: 100 + LEASE}
    granted(keeping, keep=[A.instance], asked_at=102, now=102)
    assert keeping.until_of == {A.instance: 102 + LEASE, B.instance: 100 + LEASE}
    keeping.gone(Gone(B.instance, "lost", "QEMU was killed"))
    assert keeping.until_of == {A.instance: 102 + LEASE}


def test_the_end_of_an_unknown_machine_needs_nothing():
    assert granted(Keeping(1), end(1)).end == ()
