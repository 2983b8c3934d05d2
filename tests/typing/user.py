"""A user's program with its expected types. Checked by test_public.py; never run."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import kju
from kju.fleet.aio import FleetMachine


def drive(image: str) -> NDArray[np.uint8]:
    with kju.launch(image, memory="1G") as machine:
        assert_type(machine, kju.Machine)
        assert_type(machine.screen, kju.Screen)
        assert_type(machine.screens[0], kju.Screen)
        change = machine.screen.wait(timeout=60)
        assert_type(change, kju.Change)
        assert_type(change.rects, list[kju.Rect])
        machine.keyboard.type("root\n")
        machine.keyboard.chord("ctrl-alt-f2")
        for later in machine.screen.changes(timeout=1):
            assert_type(later.mark, kju.Mark)
        found = machine.screen.wait_text("login:", timeout=60)
        assert_type(found.rect, kju.Rect)
        match = machine.screen.wait_image(["a.png", "b.png"], found.rect, timeout=60)
        assert_type(match.click, tuple[int, int])
        answer = machine.screen.wait_for(lambda pixels: int(pixels.max()), timeout=1)
        assert_type(answer, int)
        assert_type(str(machine.screen.read_text()), str)
        pixels: NDArray[np.uint8] = machine.screen.frame()
        return pixels


def keep(image: str) -> list[str]:
    file = kju.define("web", image, disk="1G")
    with kju.start("web") as machine:
        machine.pause()
        saved = machine.snapshots.save("a")
        assert_type(saved.tag, str)
        assert_type(machine.snapshots.load("a").picture, str | None)
        with machine.events(since=0) as events:
            assert_type(next(events).name, str)
        with machine.serial() as line:
            assert_type(line.recv(1), bytes)
        assert_type(machine.shutdown(), bool)
    return [str(file), *(snapshot.tag for snapshot in machine.snapshots.list())]


def look(path: str) -> kju.State:
    with kju.Surface(path) as surface:
        view: NDArray[np.uint8] = surface.view(kju.Rect(0, 0, 8, 8))
        state, reason = surface.state
        print(view.shape, reason and reason.upper())
        return state


async def drive_async(image: str) -> None:
    async with await kju.aio.launch(image) as machine:
        await machine.screen.wait(timeout=60)
        await machine.keyboard.type("root\n")
        still: NDArray[np.uint8] = await machine.screen.wait_stable(1, timeout=60)
        print(still.shape)
        async for change in machine.screen.changes():
            assert_type(change, kju.Change)
            break
        async for event in machine.events():
            assert_type(event.sequence, int)
        await machine.snapshots.load("a")


async def drive_fleet(image: str) -> None:
    async with kju.aio.fleet.open(image=image) as fleet:
        machines = await fleet.launch(2, spread=True)
        assert_type(machines, list[FleetMachine])
        assert_type(await fleet.launch(), FleetMachine)
        async for name, _ in fleet.map(len, machines):
            assert_type(name, str)


def names() -> list[str]:
    return [machine.name for machine in kju.machines() if machine.is_alive]
