"""`kju mcp` on real machines: started from a folder, paused, ended, dragged."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support import guests
from support.tool_calls import call, refused
from support.wait import until_async

import kju.aio
from kju.acting.answer import Times
from kju.agents.mcp import launching
from kju.agents.mcp.session import ToolSession
from kju.client.targets import running_names
from kju.protocol.input_log import Input
from kju.protocol.values import Button

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]
QUICK = Times(0.5, 0.3, 30.0)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with a disk, an overlay of it, and links and overlays that lead out of it."""
    folder, outside = tmp_path / "images", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "menu.img").write_bytes(guests.modes(outside).read_bytes())
    (folder / "link.img").symlink_to("menu.img")
    (folder / "out.img").symlink_to(outside / "modes.img")
    (folder / ".hidden.img").write_bytes(b"")
    (folder / "sub").mkdir()
    for name, below in (
        ("over.qcow2", folder / "menu.img"),
        ("stray.qcow2", outside / "modes.img"),
    ):
        words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", below]
        subprocess.run([*words, folder / name], check=True)
    return folder


@pytest.fixture
async def session(images: Path) -> AsyncIterator[ToolSession]:
    made = ToolSession(launch=images, times=QUICK)
    yield made
    await made.close()


async def test_only_images_of_the_folder_are_launched(session: ToolSession, images: Path) -> None:
    known = ["link.img", "menu.img", "over.qcow2", "stray.qcow2"]
    assert (await call(session, "list_machines")).facts == {"machines": [], "images": known}
    outside = images.parent / "outside" / "modes.img"
    for image in (
        "../outside/modes.img", "out.img", str(outside), str(images / "menu.img"), "sub", ".", "..",
        "sub/../menu.img", ".hidden.img", "none.img", "a\0b", "json:{}", "menu.img/",
    ):  # fmt: skip
        words = await refused(session, "launch", image=image)
        assert "no image is named" in words and "menu.img" in words, image
    assert "refers to" in await refused(session, "launch", image="stray.qcow2")
    assert "cannot be a machine's name" in await refused(
        session, "launch", image="menu.img", name="../x"
    )
    assert await asyncio.to_thread(kju.machines) == []


async def test_a_launched_machine_is_used_and_stopped(session: ToolSession, images: Path) -> None:
    before = {path.name: path.read_bytes() for path in images.glob("*.*")}
    assert (
        await call(session, "launch", image="over.qcow2", name="mine")
    ).text == "mine is running"
    assert "mine" in await refused(session, "launch", image="menu.img", name="mine")
    shot = await call(session, "screenshot", machine="mine")
    assert shot.picture is not None
    events = await call(session, "events", machine="mine", seconds=60)
    assert events.facts is not None and events.facts["events"][0]["name"] == "started"
    last = events.facts["last"]
    newer = await call(session, "events", machine="mine", since=last)
    assert all(event["number"] > last for event in newer.facts["events"])  # type: ignore[index]
    assert "only machines of launch and fork are stopped, not 'other': mine" in await refused(
        session, "stop", machine="other"
    )
    await call(session, "stop", machine="mine")
    assert await asyncio.to_thread(kju.machines) == []
    assert {path.name: path.read_bytes() for path in images.glob("*.*")} == before


async def test_a_fork_is_used_and_ends_with_the_server(tmp_path: Path) -> None:
    session = ToolSession(names=frozenset({"base"}), times=QUICK)
    async with await kju.aio.launch(guests.modes(tmp_path), name="base"):
        await call(session, "key", keys="a")
        fork = await call(session, "fork", name="copy")
        assert fork.text == "copy continues from base"
        shots = [await call(session, "screenshot", machine=name) for name in ("base", "copy")]
        assert shots[0].facts is not None and shots[1].facts is not None
        assert shots[0].facts["size"] == shots[1].facts["size"]
        await call(session, "key", keys="a", machine="copy")
        assert "copy" in await refused(session, "fork", machine="base", name="copy")
        await session.close()
        assert [info.name for info in await asyncio.to_thread(kju.machines)] == ["base"]


async def test_a_model_cannot_launch_any_number(
    session: ToolSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "MAX_LAUNCHED", 1)
    await call(session, "launch", image="menu.img")
    words = await refused(session, "launch", image="menu.img", name="second")
    assert words == "1 machines are running: stop one of menu"
    await session.close()
    assert await asyncio.to_thread(kju.machines) == []


async def test_input_for_a_paused_guest_is_an_error_that_says_so(session: ToolSession) -> None:
    await call(session, "launch", image="menu.img")
    machine = await kju.aio.attach("menu")
    await machine.pause()
    words = await refused(session, "key", keys="a")
    assert "paused" in words
    assert (await call(session, "screenshot")).picture is not None
    await machine.resume()
    await call(session, "key", keys="a")
    await machine.close()


async def test_a_machine_that_ends_during_a_call_is_an_error(session: ToolSession) -> None:
    await call(session, "launch", image="menu.img")
    waiting = asyncio.ensure_future(
        session.call("wait_text", {"text": "never on the screen", "timeout": 300})
    )
    holding = asyncio.ensure_future(session.call("key", {"keys": "a", "seconds": 300}))
    machine = await kju.aio.attach("menu")
    await until_async(lambda: not waiting.done(), "the call runs")
    os.kill(machine.host_pid, 9)
    for done in (await waiting, await holding):
        assert done.is_error and "menu" in done.text and "\n" not in done.text
    await machine.close()
    await until_async(lambda: running_names() == [], "the name is free")
    assert "none" in await refused(session, "screenshot")


async def test_a_client_that_disconnects_in_mid_drag_leaves_no_button_down(tmp_path: Path) -> None:
    guest = guests.paint(tmp_path, "still")
    async with await kju.aio.launch(name="paint", args=guest.arguments) as machine:
        with guests.Serial(guest) as serial:
            serial.wait("kju: input .*[Tt]ablet")
        session = ToolSession(times=QUICK)
        points = [[x % 600, x % 300] for x in range(1000)]
        drag = asyncio.ensure_future(session.call("drag", {"points": points, "keys": ["ctrl"]}))
        await until_async(
            lambda: any(entry.pointer for entry in machine.input_log()), "the drag has begun"
        )
        await session.close()
        assert "the server is ending" in (await drag).text
        await until_async(lambda: held(machine.input_log()) == set(), "all is released")


def held(entries: list[Input]) -> set[object]:
    """Return the keys and buttons that are down after the entries of a log."""
    down: set[object] = set()
    for entry in entries:
        for key, pressed in entry.keys:
            (down.add if pressed else down.discard)(key)
        for action in entry.pointer:
            if isinstance(action, Button):
                name = f"button {action.button}"
                (down.add if action.down else down.discard)(name)
    return down
