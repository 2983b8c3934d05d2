"""A thousand machines on fifty pretended nodes, with faults; and the real cost of their controller.

`loop` has a pretended clock; `node` and `fleet` run the product's controller, keepers and leases in
it; `images` stands for the copies of disk images, `ledger` checks what must hold, and `measured`
has the times. A broken promise ends the run with `PromiseBrokenError`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator

from kju.fleet.messages import REPORT_INTERVAL, Held, KeeperReport, StartOrder
from kju.fleet.placement import NodeFacts
from kju.fleet.roster import Roster
from kju.fleet.specs import machine_specs

from ..measure import Figure, amount, percentile
from .fleet import Plan, SimulatedFleet
from .measured import Measured

#: The target of the fleet's word about a lost machine, of its first start elsewhere.
_NOTICED = 10.0
_GROUP = "fleet_simulation"
#: Machines of a node, and rounds of reports, in the measurement of the controller.
_EACH, _ROUNDS = 20, 10


def _share(values: list[float], share: float) -> float:
    """Return a percentile; not a number of a run that was too short for any."""
    return percentile(values, share) if values else math.nan


def _simulated(plan: Plan) -> Iterator[Figure]:
    measured = Measured()
    fleet = SimulatedFleet(plan, measured)
    # Nodes are cut off all the time, and each keeper says so.
    logging.getLogger("kju.fleet.keeper").setLevel(logging.CRITICAL)
    begin = time.monotonic()
    fleet.run()
    took = time.monotonic() - begin

    def figure(
        name: str, value: float, unit: str, detail: str = "", limit: float | None = None
    ) -> Figure:
        return Figure(_GROUP, name, value, unit, limit, "", detail)

    faults = ", ".join(f"{count} {name}" for name, count in sorted(fleet.faults.items()))
    images = fleet.images
    yield figure("episodes complete, each once", len(fleet.completed), "",
                 f"{plan.machines} machines at a time on {plan.nodes} nodes;"
                 f" {fleet.loop.time():.0f} s of pretended time in {took:.0f} s; times:"
                 f" {measured.source}")  # fmt: skip
    yield figure("machines started, none twice, none lost without a word",
                 len(fleet.ledger.started), "",
                 f"faults: {faults}; {fleet.repeated} episodes repeated after a loss;"
                 f" {fleet.full} launches found the fleet full")  # fmt: skip
    yield figure("highest use of a node's memory", 100 * fleet.highest_use, "%", limit=100)
    cold, warm = fleet.pictures_with_copy, fleet.pictures
    yield figure("launch to first picture, the image lies on the node, p95", _share(warm, 0.95),
                 "s", f"p50 {_share(warm, 0.5):.1f} s, {len(warm)} machines")  # fmt: skip
    yield figure("launch to first picture, of all, p95", _share(cold + warm, 0.95), "s",
                 f"p50 {_share(cold + warm, 0.5):.1f} s; with a copy of the image p50"
                 f" {_share(cold, 0.5):.0f} s, p95 {_share(cold, 0.95):.0f} s,"
                 f" {len(cold)} machines")  # fmt: skip
    each = len(fleet.ledger.started) * plan.image_size
    yield figure("image bytes moved", images.moved / 1e12, "TB",
                 f"{images.copies} copies of {plan.images} images of"
                 f" {plan.image_size / 1e9:.0f} GB; {images.wasted / 1e12:.2f} TB more in copies"
                 f" that were not completed; a copy for each start: {each / 1e12:.0f} TB",
                 )  # fmt: skip
    words = fleet.words
    yield figure("end of a machine to the fleet's word, p95", _share(words, 0.95), "s",
                 f"p50 {_share(words, 0.5):.1f} s, longest {max(words, default=0):.1f} s,"
                 f" {len(words)} lost machines", limit=_NOTICED)  # fmt: skip
    overlaps = fleet.ledger.overlaps
    yield figure("machine of a continued node beside its successor, at most",
                 max(overlaps, default=0), "s",
                 f"{len(overlaps)} machines, until their hosts had killed them")  # fmt: skip


def _controller(machines: int) -> Figure:
    """Measure the reports of nodes whose machines run."""
    roster = Roster()
    nodes = [NodeFacts(f"n{number}", Plan().node) for number in range(machines // _EACH)]
    for facts in nodes:
        roster.report(KeeperReport(facts, 1, 1), 0.0)
    names = [f"m{number}" for number in range(machines)]
    begin = time.process_time()
    roster.submit(machine_specs(names, {"memory": "1G"}), 0.0)
    placing = time.process_time() - begin
    held: dict[str, list[Held]] = {}
    for sent in roster.take_orders():
        assert isinstance(sent.order.what, StartOrder)
        held.setdefault(sent.node, []).append(Held(sent.order.what, running=True))
    sessions = {facts.name: number for number, facts in enumerate(nodes, 1)}
    reports = [
        [
            KeeperReport(
                facts, 1, 2 + number, sessions[facts.name], len(held.get(facts.name, ())),
                tuple(held.get(facts.name, ())),
            )
            for facts in nodes
        ]
        for number in range(_ROUNDS)
    ]  # fmt: skip
    begin = time.process_time()
    for number, each in enumerate(reports):
        for report in each:
            roster.report(report, number * REPORT_INTERVAL)
    took = (time.process_time() - begin) / (_ROUNDS * len(nodes))
    share = 100 * took * len(nodes) / REPORT_INTERVAL
    return Figure(_GROUP, f"the controller's decisions for {machines:,} machines", share,
                  "% of a core", None, "", f"{1e6 * took:.0f} us a report of {len(nodes)} nodes;"
                  f" {1e6 * placing / machines:.0f} us to place one of a launch")  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    for machines in (1000, 10_000):
        yield _controller(machines)
    plan = Plan(episodes=int(amount("EPISODES", Plan().episodes)), seed=int(amount("SEED", 1)))
    yield from _simulated(plan)
