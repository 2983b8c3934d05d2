"""Pages of `kju web` that show a machine of another computer: a real `kju serve`, sealed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from support import xservers
from support.background_server import serving
from support.far_web import NAME, Far, is_listed, near, served
from support.link_scene import free_port
from support.trusting import make_lab
from support.wait import until_async
from support.web_page import PageScreen, page_of

import kju.aio
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.trust import Trust
from kju.web import messages as web
from kju.web.access import Access
from kju.web.listening import WebOptions
from kju.web.remote import gateway
from kju.web.remote.gateway import FarComputer
from kju.web.server import WebServer
from kju.wire.greeting import Stage

pytest.importorskip("zenoh")
pytestmark = pytest.mark.usefixtures("runtime_folder")

Draw = Callable[[str], Awaitable[None]]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trust:
    """The folder of trust of the serving computer, and of this user, who is ann or vic there."""
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "lab"))
    return make_lab(tmp_path / "lab")


@pytest.fixture
async def far(lab: Trust) -> AsyncIterator[Far]:
    xservers.need("Xvfb", "xsetroot")
    arguments = ["-screen", "0", "320x200x24"]
    async with (
        await kju.aio.launch(xvfb=True, name="debian", args=arguments) as machine,
        served(machine) as made,
    ):
        yield made


@pytest.fixture
async def draw(far: Far) -> Draw:
    """Fill the far screen with a colour."""
    display = (await far.machine.info())["xvfb"]["display"]

    async def draw_one(colour: str) -> None:
        await asyncio.to_thread(xservers.do, display, "xsetroot", "-solid", colour)

    return draw_one


@pytest.fixture
async def server(far: Far, lab: Trust) -> AsyncIterator[WebServer]:
    async with near(far, lab) as made:
        yield made


def shows(screen: PageScreen, *bgr: int) -> bool:
    return bool((screen.pixels == np.array(bgr, np.uint8)).all())


async def test_a_far_screen_is_listed_and_shown(server: WebServer, draw: Draw) -> None:
    async with page_of(server, "control") as page:
        listed = await page.wait_for(web.MachineList, is_listed("running"))
        assert listed.machines[0].kind == "remote"
        screen = await page.open(NAME)
        await screen.wait_open()
        assert screen.session.welcome is not None
        assert screen.session.welcome.role == "control"
        for colour, bgr in (("#102030", (0x30, 0x20, 0x10)), ("#ffffff", (255, 255, 255))):
            await draw(colour)
            await until_async(lambda bgr=bgr: shows(screen, *bgr))  # type: ignore[misc]
        info = (await page.act(1, NAME, "info")).data
        assert b'"width":320' in info
        assert b"viewer S" in info


async def test_the_session_is_sealed_and_its_user_is_the_key(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        await (await page.open(NAME, role="view")).wait_open()
        receiver = server.site._gateway.screens[NAME]._origin.mirror.receiver
        assert receiver.seal is not None
        assert receiver.sender == "host1"


async def test_a_session_of_another_machine_sees_no_far_screen(server: WebServer) -> None:
    async with page_of(server, "manage", "debian") as page:
        assert page.received[1] == web.MachineList([])
        await page.say(web.OpenScreen(1, NAME))
        await page.wait_for(web.ScreenClosed)
        assert (await page.act(1, NAME, "info")).error == "MachineNotFoundError"


async def test_what_nobody_looks_at_is_not_carried(server: WebServer) -> None:
    remote = server.site._gateway.screens[NAME]
    async with page_of(server, "view") as page:
        assert remote._origin.session is None
        screen = await page.open(NAME, role="view")
        await screen.wait_open()
        await page.say(web.CloseScreen(1))
        await until_async(lambda: remote._origin.session is None)  # after GRACE_TIME
        await page.say(web.MachinesInView([NAME]))
        await page.wait_for(web.SmallPicture)
        assert remote._origin.session is None  # the wall has a session of its own
        await page.say(web.MachinesInView())
        await until_async(lambda: not server.site._pictures._tasks)


async def test_a_link_above_its_share_of_the_memory_gets_no_further_screen(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with page_of(server, "view") as page, page_of(server, "view") as other:
        await (await page.open(NAME, role="view")).wait_open()
        assert server.site._gateway.screens[NAME].memory >= 4 * 320 * 200
        monkeypatch.setattr(gateway, "LINK_PART", 1 << 40)
        await (await page.open(NAME, 2, role="view")).wait_open()  # it needs no more memory
        await other.say(web.OpenScreen(1, NAME))
        assert "the most allowed" in (await other.wait_for(web.ScreenClosed)).reason


async def test_the_wall_has_a_small_picture_of_a_far_screen(server: WebServer, far: Far) -> None:
    async with page_of(server, "view") as page:
        await page.say(web.MachinesInView([NAME]))
        found = await page.wait_for(web.SmallPicture)
        assert (found.machine, found.screen_width, found.screen_height) == (NAME, 320, 200)


async def test_another_computers_machine_is_not_managed_here(server: WebServer) -> None:
    async with page_of(server) as page:
        for number, (action, arguments) in enumerate(
            [("power", {"how": "quit"}), ("snapshots", {}), ("start", {})], 1
        ):
            result = await page.act(number, NAME, action, **arguments)
            assert result.error == "UsageError"
            assert "another computer" in result.reason
        assert (await page.act(9, NAME, "layouts")).error == ""


async def test_a_screen_is_off_while_its_sender_is_and_then_continues(
    server: WebServer, far: Far, draw: Draw
) -> None:
    async with page_of(server, "view") as page:
        screen = await page.open(NAME, role="view")
        await screen.wait_open()
        await far.end()
        await page.wait_for(web.MachineList, is_listed("off"))
        page.received.clear()
        await far.serve()
        await page.wait_for(web.MachineList, is_listed("running"))
        await draw("#00ff00")
        await until_async(lambda: shows(screen, 0, 255, 0))


async def test_a_screen_that_does_not_return_is_forgotten(
    server: WebServer, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "KEEP_TIME", 0.1)
    async with page_of(server, "view") as page:
        screen = await page.open(NAME, role="view")
        await screen.wait_open()
        await far.end()
        await until_async(lambda: screen.session.stage is Stage.CLOSED)
        assert screen.session.reason == f"{NAME} is not served any more"
        await page.wait_for(web.MachineList, lambda message: message.machines == [])


async def test_a_key_that_is_removed_at_the_sender_shows_nothing_more(
    server: WebServer, far: Far, lab: Trust, draw: Draw
) -> None:
    async with (
        page_of(server, "view") as page,
        near(far, lab, "vic") as allowed,
        page_of(allowed, "view") as other,
    ):
        screen = await page.open(NAME, role="view")
        seen = await other.open(NAME, role="view")
        await screen.wait_open()
        await seen.wait_open()
        lab.remove("ann")
        await until_async(lambda: server.site._gateway.screens[NAME]._origin.role == "view")
        await until_async(lambda: screen.session.state is not None)
        await until_async(lambda: "stale since" in (screen.session.state or (0, ""))[1])
        for colour, bgr in (("#ff0000", (0, 0, 255)), ("#00ff00", (0, 255, 0))):
            await draw(colour)
            # The sender has sent it to those who may see it.
            await until_async(lambda bgr=bgr: shows(seen, *bgr))  # type: ignore[misc]
            assert not shows(screen, *bgr)


async def test_a_computer_that_does_not_answer_delays_no_page(
    lab: Trust, caplog: pytest.LogCaptureFixture
) -> None:
    place = f"tls/127.0.0.1:{free_port()}"
    options = SessionOptions(connect=[endpoint(place, "tls")], tls=lab.tls("ann"))
    server = WebServer([], WebOptions(), access=Access(), remotes=[FarComputer(options, "ann")])
    async with serving(server), page_of(server) as page:
        assert page.received[1] == web.MachineList([])
        await until_async(lambda: place in caplog.text)
