"""Machines, nodes, losses and messages in any order, on a pretended clock.

Never two of one name, no node beyond its room, no loss without a word; and when everything works
again, the fleet says what is.
"""

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.fleet_world import GIB, World, spec

from kju.fleet.placement import Room

NAMES = ["a", "b", "c", "d", "e"]
TOTAL = Room(memory=3 * GIB, tmpfs=GIB)


class Deeds:
    """What may happen to a fleet; *pick* chooses one of a list."""

    def __init__(self, world, pick):
        self.world, self.pick = world, pick

    def node(self, *, stopped=None):
        nodes = [node for node in self.world.nodes.values() if not node.dead]
        return self.pick([n for n in nodes if stopped is None or n.stopped == stopped] or nodes)

    def host(self):
        hosts = [
            (node, instance)
            for node in self.world.nodes.values()
            for instance in node.hosts
            if not node.stopped
        ]
        return self.pick(hosts or [(None, None)])

    def work(self):
        self.world.run(self.pick([2, 5, 10, 16, 20]))

    def wait(self):
        self.world.advance(self.pick([0.5, 5, 10, 13, 15.5]))

    def submit(self):
        world = self.world
        if world.roster.recovering(world.now):
            return
        count = self.pick([1, 2, 3])
        first = self.pick(range(len(NAMES)))
        part, owner = self.pick(["", "base"]), self.pick(["", "", "owner"])
        restarts, spread = self.pick([0, 1, -1]), self.pick([False, True])
        names = [NAMES[(first + n) % len(NAMES)] for n in range(count)]
        more = {"part": part, "owner": owner, "max_restarts": restarts, "spread": spread}
        world.submit([spec(name, self.pick([1, 2]), **more) for name in names])

    def end(self):
        if statuses := self.world.roster.statuses():
            self.world.end(self.pick(statuses).name)

    def renew_owner(self):
        self.world.roster.renew_owner("owner", self.world.now)

    def ask(self):
        self.world.ask(self.node())

    def deliver(self):
        if mail := self.world.mail:
            self.world.deliver(self.pick(mail))

    def lose(self):
        if mail := self.world.mail:
            mail.remove(self.pick(mail))

    def slow(self):
        node = self.node()
        node.slow = not node.slow

    def cut_off(self):
        node = self.node()
        node.cut_off = not node.cut_off

    def stop(self):
        self.node().stopped = True

    def go_on(self):
        self.node(stopped=True).stopped = False
        # The clock went on: hosts see at once that their leases have ended.
        self.world.advance(0.5)

    def kill_node(self):
        self.world.kill_node(self.node())
        self.world.add_node(TOTAL)

    def restart_keeper(self):
        node = self.node(stopped=False)
        if not node.stopped:
            self.world.start_keeper(node, frozenset(self.pick([[], [], NAMES, [NAMES[0]]])))

    def kill_keeper(self):
        self.node().keeper = None

    def crash(self):
        node, instance = self.host()
        if node:
            self.world.crash(node, instance)

    def fail(self):
        node, instance = self.host()
        if node and not node.hosts[instance].started:
            self.world.finish_start(node, instance, fault="no such image")

    def restart_controller(self):
        self.world.restart_controller()

    def drain(self):
        name = self.node().facts.name
        if name in self.world.roster.nodes():
            self.world.roster.drain(name)
            self.world.add_node(TOTAL)


#: How often each may happen.
DEEDS = {
    "work": 4,
    "wait": 1,
    "submit": 3,
    "end": 1,
    "renew_owner": 1,
    "ask": 1,
    "deliver": 2,
    "lose": 1,
    "slow": 2,
    "cut_off": 2,
    "stop": 1,
    "go_on": 1,
    "kill_node": 1,
    "restart_keeper": 2,
    "kill_keeper": 1,
    "crash": 1,
    "fail": 1,
    "restart_controller": 1,
    "drain": 1,
}


# Not shrunk: a failure of sixty deeds takes minutes to shrink.
@settings(max_examples=200, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    deeds=st.lists(
        st.sampled_from([deed for deed, often in DEEDS.items() for _ in range(often)]),
        min_size=20,
        max_size=60,
    ),
    choices=st.lists(st.integers(0, 59), min_size=40, max_size=100),
)
def test_a_fleet_keeps_its_promises_whatever_happens(deeds, choices):
    at = 0

    def pick(options):
        nonlocal at
        options, at = list(options), at + 1
        return options[choices[at % len(choices)] % len(options)]

    world = World()
    for _ in range(2):
        world.add_node(TOTAL)
    world.run(3)
    world.submit([spec("a"), spec("b", part="base", max_restarts=-1)])
    world.submit([spec("c", part="base", spread=True, max_restarts=1, owner="owner")])
    for deed in deeds:
        getattr(Deeds(world, pick), deed)()
        world.check()
    world.settle()
    world.check_changes()
