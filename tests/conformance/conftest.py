"""Fixtures of the suites: every kind of memory and both halves of the API; every back end."""

import asyncio
import os
import uuid

import pytest
from support.fake_host import fake_host
from support.surfaces import HEIGHT, SHM, WIDTH, picture
from support.view_drivers import QtDriver, StubDriver, TerminalDriver
from support.viewing import FakePointer

from kju.client.aio.surface import Surface as AsyncSurface
from kju.client.surface import Screen, Surface
from kju.memory import SurfaceProducer


class Kind:
    """Makes producers at one address, and opens their surfaces."""

    def __init__(self, name, directory):
        self.name = name
        self.address = {
            "file": str(directory / "screen.kju"),
            "posix": f"posix:/kju-test-{uuid.uuid4().hex}",
            "sysv": "sysv:",
            "memfd": "memfd:",
        }[name]
        self.made = []

    def create(self, capacity=128 * 96 * 4, **how):
        producer = SurfaceProducer.create(self.address, capacity=capacity, **how)
        self.made.append(producer)
        return producer

    def open(self, form, producer, **how):
        if self.name == "memfd":
            return form.from_fd(os.dup(producer.memory.fileno()))
        return form(producer.address, **how)


class Sync:
    """The API for threads."""

    form = Surface

    def wait(self, surface, *args, **how):
        return surface.wait(*args, **how)

    def call(self, found):
        return found

    def take(self, surface, count, **how):
        found = []
        for change in surface.changes(**how):
            found.append(change)
            if len(found) == count:
                break
        return found

    def close(self):
        pass


class Async:
    """The API for asyncio, behind calls that return finished results."""

    def __init__(self):
        self.runner = runner = asyncio.Runner()

        class Driven(AsyncSurface):
            def frame(self, *args, **how):
                found = super().frame(*args, **how)
                return found if runner.get_loop().is_running() else runner.run(found)

            def screenshot(self, *args, **how):
                return runner.run(super().screenshot(*args, **how))

        self.form = Driven

    def wait(self, surface, *args, **how):
        return self.runner.run(surface.wait(*args, **how))

    def call(self, found):
        return self.runner.run(found)

    def take(self, surface, count, **how):
        async def some():
            found = []
            changes = surface.changes(**how)
            async for change in changes:
                found.append(change)
                if len(found) == count:
                    break
            await changes.aclose()
            return found

        return self.runner.run(some())

    def close(self):
        self.runner.close()


@pytest.fixture(params=["file", "posix", "sysv", "memfd"])
def kind(request, tmp_path):
    kind = Kind(request.param, tmp_path)
    yield kind
    for producer in kind.made:
        producer.close()


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def api(request):
    api = request.param()
    yield api
    api.close()


@pytest.fixture
def producer(kind):
    return kind.create()


@pytest.fixture
def surface(kind, api, producer):
    with_surface = kind.open(api.form, producer)
    yield with_surface
    with_surface.close()


@pytest.fixture
def shown(producer):
    pixels = picture()
    producer.set_mode(WIDTH, HEIGHT, source=pixels)
    return pixels


@pytest.fixture
def posix_name():
    name = f"kju-test-{uuid.uuid4().hex}"
    yield name
    (SHM / name).unlink(missing_ok=True)


# ---- Viewers


@pytest.fixture(params=[StubDriver, QtDriver, TerminalDriver], ids=["stub", "qt", "terminal"])
def driver(request, monkeypatch):
    if request.param is QtDriver:
        pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
        monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    return request.param


@pytest.fixture
def host(runtime_folder):
    with fake_host() as host:
        yield host


@pytest.fixture
def open_view(driver, host):
    opened = []

    def start(show=True, **how):
        one = driver("fake", **how)
        opened.append(one)
        if show:
            one.show()
        return one

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def pointer(monkeypatch):
    """Replace every machine's pointer, as a host without QEMU has no pointer."""
    pointer = FakePointer(absolute=True)
    monkeypatch.setattr(Screen, "pointer", property(lambda self: pointer))
    return pointer
