"""A guest in a page: keys, power, snapshots; keys are released when the page is gone."""

from __future__ import annotations

import asyncio
import base64
import io
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from PIL import Image
from support.wait import HANG, until_async
from support.web_page import Page, page_of, web_server

import kju.aio
from kju.protocol.messages import Point
from kju.protocol.values import Button, By
from kju.web import messages as web
from kju.web.server import WebServer
from kju.wire import messages as wire

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

A = 30


@pytest.fixture
async def machine() -> AsyncIterator[kju.aio.Machine]:
    async with await kju.aio.launch(name="guest", memory="64M") as made:
        yield made


@pytest.fixture
async def server(machine: kju.aio.Machine) -> AsyncIterator[WebServer]:
    async with web_server() as made:
        yield made


def listed(page: Page) -> list[web.MachineList]:
    return [each for each in page.received if isinstance(each, web.MachineList)]


async def test_input_of_a_page_reaches_the_guest(
    machine: kju.aio.Machine, server: WebServer
) -> None:
    async with page_of(server, "control") as page:
        screen = await page.open("guest")
        await screen.wait_open()
        assert (await screen.press(A, down=True)).error == ""
        assert (await screen.press(A, down=False)).error == ""
        done = await screen.input(Point(actions=[By(10, 10), Button(0, True), Button(0, False)]))
        assert done.error == "", done.reason
        assert (await page.act(1, "guest", "type", text="hello" * 50)).error == ""
        progress = [each for each in page.received if isinstance(each, web.ActionProgress)]
        assert [(each.done, each.total) for each in progress] == [
            (0, 250), (100, 250), (200, 250), (250, 250),
        ]  # fmt: skip
        result = await page.act(2, "guest", "input")
        assert b'"absolute":' in result.data


async def test_first_inputs_of_a_page_keep_their_order(
    machine: kju.aio.Machine, server: WebServer
) -> None:
    """They are sent while the first still waits for the page's connection to the host."""
    keys = [*range(2, 14), *range(16, 28), *range(30, 42)]
    for _ in range(5):
        async with page_of(server, "control") as page:
            screen = await page.open("guest")
            await screen.wait_open()
            before = len(machine.input_log())
            steps = [(key, down) for key in keys for down in (True, False)]
            results = await asyncio.gather(*(screen.press(k, down=d) for k, d in steps[:40]))
            assert {each.error for each in results} == {""}

            def logged(since: int = before) -> list[tuple[int, bool]]:
                return [step for each in machine.input_log()[since:] for step in each.keys]

            await until_async(lambda: len(logged()) >= 40)
            assert logged() == steps[:40]


@pytest.mark.parametrize("how", ["goodbye", "killed", "revoked"])
async def test_keys_are_released_when_the_page_is_gone(
    machine: kju.aio.Machine, server: WebServer, how: str
) -> None:
    async with page_of(server, "control") as page:
        screen = await page.open("guest")
        await screen.wait_open()
        await screen.press(A, down=True)
        held = [c for c in (await machine.info())["clients"] if c["name"].startswith("viewer")]
        assert len(held) == 1
        if how == "goodbye":
            await page.send(1, wire.encode(wire.Goodbye()))
        elif how == "killed":
            page.ws._conn.transport.abort()  # type: ignore[union-attr]
        else:
            server.site.access.revoke([page.received[0].user])

        async def is_gone() -> bool:
            clients = (await machine.info())["clients"]
            return not [c for c in clients if c["name"].startswith("viewer")]

        async with asyncio.timeout(HANG):
            while not await is_gone():
                await asyncio.sleep(0.05)
        # The host takes a key of its own accord: it is up, so it goes down again.
        await machine.keyboard.press("a")
        await machine.keyboard.release("a")


async def test_an_invalid_input_is_answered_and_the_session_continues(server: WebServer) -> None:
    async with page_of(server, "control") as page:
        screen = await page.open("guest")
        await screen.wait_open()
        assert (await screen.input(b"\xc1")).error == "UsageError"
        assert (await screen.input(b"\x81\xa4type\xa4stop")).error == "UsageError"
        assert (await screen.press(A, down=False)).error == ""


async def test_a_page_manages_the_machine(machine: kju.aio.Machine, server: WebServer) -> None:
    async with page_of(server, "manage") as page:
        assert (await page.act(1, "guest", "power", how="pause")).error == ""
        await page.wait_for(web.MachineList, lambda m: m.machines[0].state == "paused")
        assert (await machine.info())["state"] == "paused"
        assert (await page.act(2, "guest", "power", how="resume")).error == ""
        states = ["running", "paused", "running"]
        await until_async(lambda: [m.machines[0].state for m in listed(page)] == states)
        assert (await page.act(3, "guest", "power", how="reset")).error == ""
        result = await page.act(4, "guest", "snapshots")
        assert (result.data, result.error) == (b"[]", "")


async def test_typing_can_be_cancelled(machine: kju.aio.Machine, server: WebServer) -> None:
    async with page_of(server, "control") as page:
        await page.say(web.Act(1, "guest", "type", {"text": "x" * 8000}))
        await page.wait_for(web.ActionProgress, lambda progress: progress.done > 0)
        await page.say(web.CancelAction(1))
        result = await page.wait_for(web.ActionResult)
        assert (result.error, result.reason) == ("InputError", "the action was cancelled")


async def test_missing_characters_are_named_before_anything_is_typed(
    machine: kju.aio.Machine, server: WebServer
) -> None:
    async with page_of(server, "control") as page:
        result = await page.act(1, "guest", "type", text="aüb", layout="us")
        assert (result.error, "'ü'" in result.reason) == ("UsageError", True)
        result = await page.act(2, "guest", "check-text", text="aüb", layout="us")
        assert result.data == '["ü"]'.encode()


async def test_a_defined_machine_is_listed_and_started(server: WebServer, tmp_path: Path) -> None:
    await kju.aio.define("defined", memory="64M")
    async with page_of(server, "manage") as page:
        listed = await page.wait_for(web.MachineList, lambda message: len(message.machines) == 2)
        assert listed.machines[0] == web.WebMachine("defined", "", "off", 0, True)
        assert (await page.act(1, "defined", "start")).error == ""
        await page.wait_for(web.MachineList, lambda m: m.machines[0].state == "running")
        assert (await page.act(2, "defined", "power", how="quit")).error == ""


async def test_a_silent_page_is_removed_and_its_keys_released(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laptop sleeps: TCP is open, and nothing arrives."""
    monkeypatch.setattr("kju.serving.served_viewers.VIEWER_TIMEOUT", 1.5)
    async with page_of(server, "control") as page:
        screen = await page.open("guest")
        await screen.wait_open()
        await screen.press(A, down=True)
        registry = server.site._machines.served["guest"].screens[0].registry
        page.ws._conn.transport.pause_reading()  # type: ignore[union-attr]
        await until_async(lambda: not registry.all())
        assert server.site._machines.served["guest"]._control_links == {}


async def test_two_pages_use_the_guest_at_the_same_time(server: WebServer) -> None:
    async with page_of(server, "control") as page, page_of(server, "control") as other:
        first, second = await page.open("guest"), await other.open("guest")
        await first.wait_open()
        await second.wait_open()
        results = await asyncio.gather(
            *(screen.press(A, down=down) for screen in (first, second) for down in (True, False))
        )
        assert [each.error for each in results] == [""] * 4


async def test_snapshot_of_a_page_has_a_picture(tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
    async with await kju.aio.launch(disk, name="guest", memory="64M") as machine:
        await machine.screen.wait_text("SeaBIOS", timeout=HANG)
        async with web_server() as server, page_of(server, "manage") as page:
            result = await page.act(1, "guest", "snapshot", how="save", tag="one")
            assert result.error == "", result.reason
            listed = msgspec.json.decode((await page.act(2, "guest", "snapshots")).data)
            assert [(each["tag"], each["picture"]) for each in listed] == [("one", True)]
            found = await page.act(3, "guest", "snapshot-picture", tag="one")
            picture = Image.open(io.BytesIO(base64.b64decode(msgspec.json.decode(found.data))))
            assert picture.size == machine.screen.mode[:2]
            assert (await page.act(4, "guest", "snapshot-picture", tag="two")).data == b"null"
