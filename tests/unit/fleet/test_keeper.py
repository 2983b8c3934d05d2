"""A keeper with pretended hosts: what is started, renewed and reported."""

import asyncio

import msgspec
import pytest
from support.fleet_world import GIB, spec

from kju.errors import FileError, KjuError, MachineGoneError, UnavailableError
from kju.fleet.images.source import FleetImage
from kju.fleet.keeper import Keeper
from kju.fleet.messages import EndOrder, Grant, KeeperOrder, StartOrder
from kju.fleet.placement import Instance, NodeFacts, Room
from kju.store.forks.description import FileIdentity

A = Instance("a", 1)
IMAGE = FleetImage("0" * 64, FileIdentity(1, 1, 1, 1, 1), "/disk.qcow2", "other")


class Host:
    """A host that runs until the test ends it."""

    def __init__(self, name):
        self.name = name
        self.end = asyncio.get_running_loop().create_future()
        self.errors = []
        self.renewed = []

    async def renew(self, lease):
        if self.errors:
            raise self.errors.pop(0)
        self.renewed.append(lease.until)

    async def ended(self):
        return await self.end

    async def close(self):
        pass


class Start:
    """A start; with `slow` it ends only if it is given up."""

    def __init__(self, host, slow=False):
        self.host, self.slow = host, slow
        self.given_up = asyncio.Event()

    async def renew(self, lease):
        pass

    async def finish(self):
        if self.slow:
            await self.given_up.wait()
            raise KjuError("it was stopped")
        return self.host

    def give_up(self):
        self.given_up.set()


class Hosts:
    """The hosts of a node; time passes only in `now`."""

    def __init__(self, found=()):
        self.now = 100.0
        self.slow = False
        self.found = list(found)
        self.launches = []
        self.hosts = {}
        self.killed = []
        self.attach_errors = []
        self.log_error = None

    def clock(self):
        return self.now

    def find(self, holder):
        return self.found

    def base_of(self, name):
        return ""

    def start(self, launch, name, lease):
        self.launches.append(launch)
        self.hosts[name] = Host(name)
        return Start(self.hosts[name], self.slow)

    def last_log(self, name):
        if self.log_error:
            raise self.log_error
        return ("a line",)

    async def attach(self, name):
        if self.attach_errors:
            raise self.attach_errors.pop(0)
        self.hosts[name] = Host(name)
        return self.hosts[name]

    async def kill(self, name):
        self.killed.append(name)

    def close(self):
        pass


class Images:
    """Images whose copies never arrive."""

    async def hold(self, instance, image):
        await asyncio.Event().wait()

    def adopt(self, instance, image):
        pass

    def release(self, instance):
        pass

    async def close(self):
        pass


class Controller:
    """Answers each report as the test says; without that it keeps everything."""

    def __init__(self):
        self.reports = []
        self.orders = []

    async def report(self, report):
        self.reports.append(report)
        orders, self.orders = tuple(self.orders), []
        return Grant(1, frozenset(held.start.instance for held in report.held), orders)

    @property
    def gone(self):
        return [gone for report in self.reports for gone in report.gone]


class Scene:
    def __init__(self, *found, images=None):
        self.hosts, self.controller = Hosts(found), Controller()
        facts = NodeFacts("n", Room(memory=8 * GIB))
        self.keeper = Keeper(
            "lab", "n", lambda: facts, self.controller, hosts=self.hosts, images=images
        )
        self.running = asyncio.create_task(self.keeper.run())

    async def until(self, condition):
        for _ in range(600):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("not within 6 s")

    async def report(self):
        """Let the keeper report, and take the answer."""
        count = len(self.controller.reports)
        self.keeper._hurry.set()
        await self.until(lambda: len(self.controller.reports) > count)
        await asyncio.sleep(0.01)

    async def close(self):
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


def start():
    return StartOrder(spec("a"), 1)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr("kju.fleet.keeper._RETRY", 0.01)


async def test_a_machine_whose_copy_was_given_up_is_not_started_after_a_later_renewal():
    scene = Scene(images=Images())
    order = StartOrder(msgspec.structs.replace(spec("a"), image=IMAGE), 1)
    scene.controller.orders = [KeeperOrder(1, order)]
    await scene.report()
    await scene.keeper._starts.acquire()
    for _ in range(scene.keeper._starts._value):
        await scene.keeper._starts.acquire()
    # The controller does not answer for longer than the lease, and then it does.
    scene.hosts.now += 20
    await asyncio.sleep(0.2)
    await scene.report()
    assert scene.keeper._keeping.until_of[A] > scene.hosts.now
    scene.keeper._starts.release()
    await scene.until(lambda: scene.controller.gone)
    assert [(gone.kind, gone.reason) for gone in scene.controller.gone[:1]] == [
        ("lost", "its lease ended before it was started")
    ]
    assert scene.hosts.launches == []
    await scene.close()


async def test_a_start_that_takes_long_is_given_up_when_its_machine_is_to_end():
    scene = Scene()
    scene.hosts.slow = True
    scene.controller.orders = [KeeperOrder(1, start())]
    await scene.report()
    await scene.until(lambda: scene.hosts.launches)
    scene.controller.orders = [KeeperOrder(2, EndOrder(A))]
    await scene.report()
    await scene.until(lambda: scene.controller.gone)
    (gone, *_) = scene.controller.gone
    assert (gone.kind, gone.reason) == ("ended", "it was to end before it had started")
    await scene.close()


async def test_a_host_that_does_not_answer_once_takes_the_next_renewal():
    scene = Scene(start())
    await scene.until(lambda: scene.hosts.hosts)
    host = scene.hosts.hosts["a"]
    host.errors = [UnavailableError("it did not answer")]
    await scene.report()
    scene.hosts.now += 5
    await scene.report()
    assert host.renewed[-1:] == [scene.hosts.now + 15]
    assert scene.hosts.killed == []
    await scene.close()


async def test_a_host_that_hangs_is_killed_when_its_lease_has_ended():
    scene = Scene(start())
    await scene.until(lambda: scene.hosts.hosts)
    await scene.report()
    host = scene.hosts.hosts["a"]
    host.errors = [UnavailableError("it did not answer")] * 100
    scene.hosts.now += 14
    await scene.report()
    assert scene.hosts.killed == []
    scene.hosts.now += 2
    await scene.report()
    await scene.until(lambda: scene.hosts.killed == ["a"])
    await scene.close()


async def test_a_found_host_that_is_busy_is_asked_again_until_its_lease_ends():
    scene = Scene(start())
    scene.hosts.attach_errors = [TimeoutError()] * 5
    await scene.until(lambda: scene.hosts.hosts)
    assert scene.hosts.killed == [] and scene.controller.gone == []
    await scene.close()


async def test_a_found_host_that_never_answers_is_killed_and_reported():
    scene = Scene(start())
    scene.hosts.attach_errors = [TimeoutError()] * 10_000
    await asyncio.sleep(0.1)
    assert scene.hosts.killed == []
    scene.hosts.now += 16
    await scene.until(lambda: scene.controller.gone)
    assert scene.hosts.killed == ["a"]
    assert scene.controller.gone[0].kind == "lost"
    await scene.close()


async def test_a_found_host_that_has_ended_is_reported_at_once():
    scene = Scene(start())
    scene.hosts.attach_errors = [MachineGoneError("it has ended", "a")]
    await scene.until(lambda: scene.controller.gone)
    await scene.close()


async def test_a_loss_is_reported_without_logs_that_cannot_be_read():
    scene = Scene(start())
    await scene.until(lambda: scene.hosts.hosts)
    scene.hosts.log_error = FileError("too many open files")
    scene.hosts.hosts["a"].end.set_result(("lost", "QEMU was killed"))
    await scene.until(lambda: scene.controller.gone)
    assert scene.controller.gone[0].log == ()
    await scene.close()
