"""A real machine in pages: pictures, walls, events, reconnection, slow readers."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from PIL import Image
from support import xservers
from support.wait import until_async
from support.web_page import Page, PageScreen, new_key, page_of, web_server

import kju.aio
from kju.web import messages as web
from kju.web.server import WebServer
from kju.wire import messages as wire
from kju.wire.greeting import Stage

pytestmark = pytest.mark.usefixtures("runtime_folder")

Draw = Callable[[str], None]


@pytest.fixture
async def draw() -> AsyncIterator[Draw]:
    """A machine `debian`; fill its screen with a colour."""
    xservers.need("Xvfb", "xsetroot")
    arguments = ["-screen", "0", "320x200x24"]
    async with await kju.aio.launch(xvfb=True, name="debian", args=arguments) as machine:
        display = (await machine.info())["xvfb"]["display"]
        yield lambda colour: xservers.do(display, "xsetroot", "-solid", colour)


@pytest.fixture
async def server(draw: Draw) -> AsyncIterator[WebServer]:
    async with web_server() as made:
        yield made


def shows(screen: PageScreen, *bgr: int) -> bool:
    return bool((screen.pixels == np.array(bgr, np.uint8)).all())


async def test_a_page_shows_the_machine_and_its_changes(server: WebServer, draw: Draw) -> None:
    async with page_of(server, "view") as page:
        screen = await page.open("debian", role="view")
        await screen.wait_open()
        for colour, bgr in (("#102030", (0x30, 0x20, 0x10)), ("#ffffff", (255, 255, 255))):
            await asyncio.to_thread(draw, colour)
            await until_async(lambda bgr=bgr: shows(screen, *bgr))  # type: ignore[misc]


async def test_two_screens_of_one_socket_are_independent(server: WebServer, draw: Draw) -> None:
    async with page_of(server, "view") as page:
        first = await page.open("debian", 1, "view")
        second = await page.open("debian", 300, "view")
        await first.wait_open()
        await second.wait_open()
        await page.say(web.CloseScreen(1))
        await asyncio.to_thread(draw, "#0000ff")
        await until_async(lambda: shows(second, 255, 0, 0))
        assert not shows(first, 255, 0, 0)
        again = await page.open("debian", 1, "view")  # the number is free
        await again.wait_open()
        await until_async(lambda: shows(again, 255, 0, 0))


async def test_a_number_that_is_in_use_closes_the_socket(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        await page.open("debian", 1, "view")
        await page.say(web.OpenScreen(1, "debian"))
        assert await page.wait_closed() == 1002


async def test_a_message_before_the_hello_closes_the_socket(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        await page.say(web.OpenScreen(1, "debian"))
        await page.send(1, wire.encode(wire.Ack(1)))
        assert await page.wait_closed() == 1002


async def test_a_missing_console_is_refused(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        await page.say(web.OpenScreen(1, "debian", 5))
        closed = await page.wait_for(web.ScreenClosed)
        assert (closed.screen, closed.reason) == (1, "'debian' has no console 5")


async def test_a_session_of_another_machine_sees_nothing_of_this_one(server: WebServer) -> None:
    async with page_of(server, "manage", "other") as page:
        assert page.received[1] == web.MachineList([])
        await page.say(web.OpenScreen(1, "debian"))
        closed = await page.wait_for(web.ScreenClosed)
        await page.say(web.OpenScreen(2, "nothing"))
        missing = await page.wait_for(web.ScreenClosed, lambda each: each.screen == 2)
        assert closed.reason.replace("debian", "nothing") == missing.reason
        assert (await page.act(1, "debian", "info")).error == "MachineNotFoundError"
        await page.say(web.MachinesInView(["debian"]))
        await page.act(2, "other", "layouts")
        assert all(each.wall == frozenset() for each in server.site.sockets.values())


async def test_a_view_session_gets_the_role_view_whatever_it_asks_for(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        screen = await page.open("debian", role="control")
        await screen.wait_open()
        assert screen.session.welcome is not None
        assert screen.session.welcome.role == "view"
        done = await screen.press(30, down=True)
        assert done.error == "RoleError"
        result = await page.act(1, "debian", "type", text="x")
        assert (result.error, "needs a link with the role control" in result.reason) == (
            "RoleError", True,
        )  # fmt: skip
        for number, (action, arguments) in enumerate(
            [
                ("power", {"how": "quit"}),
                ("snapshot", {"how": "save", "tag": "a"}),
                ("start", {}),
            ],
            2,
        ):
            assert (await page.act(number, "debian", action, **arguments)).error == "RoleError"


async def test_a_control_session_cannot_manage(server: WebServer) -> None:
    async with page_of(server, "control") as page:
        result = await page.act(1, "debian", "power", how="quit")
        assert result.error == "RoleError"


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("none", {}), ("info", {"x": 1}), ("power", {}), ("power", {"how": "off"}),
        ("snapshot", {"how": "save", "tag": "../x"}), ("type", {"text": 5}),
        ("type", {"text": "x", "layout": "../de"}), ("input", {"console": 99}),
    ],
)  # fmt: skip
async def test_an_invalid_action_is_answered_with_a_reason(
    server: WebServer, action: str, arguments: dict
) -> None:
    async with page_of(server) as page:
        result = await page.act(1, "debian", action, **arguments)
        assert result.error == "UsageError"
        assert result.reason


async def test_info_has_no_path_and_no_process_of_this_computer(server: WebServer) -> None:
    async with page_of(server, "view") as page, page_of(server, "control") as other:
        screen = await other.open("debian")
        await screen.wait_open()
        result = await page.act(1, "debian", "info")
        assert b"/" not in result.data
        assert b"pid" not in result.data
        assert b'"state":"running"' in result.data


async def test_a_user_has_the_same_name_at_the_host_whatever_the_hello_says(
    server: WebServer,
) -> None:
    async with page_of(server, "view") as page:
        screen = await page.open("debian", role="view", user="root")
        await screen.wait_open()
        (viewer,) = server.site._machines.served["debian"].screens[0].registry.viewers.values()
        assert viewer.sender.user == page.received[0].user


async def test_the_wall_has_one_small_picture_and_the_newest(server: WebServer, draw: Draw) -> None:
    async with page_of(server, "view") as page:
        await asyncio.to_thread(draw, "#ff0000")
        await page.say(web.MachinesInView(["debian", "nothing"]))
        await asyncio.to_thread(draw, "#00ff00")

        def is_green(picture: web.SmallPicture) -> bool:
            found = np.asarray(Image.open(io.BytesIO(picture.data)))
            return bool(found[..., 1].min() > 240 and found[..., 0].max() < 20)

        found = await page.wait_for(web.SmallPicture, is_green)
        assert (found.width, found.height) == (320, 200)
        assert (found.screen_width, found.screen_height) == (320, 200)
        async with page_of(server, "view") as other:  # gets the same, without a change
            await other.say(web.MachinesInView(["debian"]))
            assert (await other.wait_for(web.SmallPicture)).data == found.data


async def test_a_machine_out_of_view_is_not_looked_at(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        await page.say(web.MachinesInView(["debian"]))
        await page.wait_for(web.SmallPicture)
        assert server.site._pictures._tasks
        await page.say(web.MachinesInView())
        await until_async(lambda: not server.site._pictures._tasks)


async def test_a_page_that_does_not_acknowledge_gets_the_newest_picture_later(
    server: WebServer, draw: Draw
) -> None:
    async with page_of(server, "view") as page:
        screen = await page.open("debian", role="view")
        await screen.wait_open()
        screen.acknowledges = False
        for step in range(20):
            await asyncio.to_thread(draw, f"#{step:02x}{step:02x}ff")
        (viewer,) = server.site._machines.served["debian"].screens[0].registry.viewers.values()
        assert viewer.sender.outgoing.window.in_flight < 100_000
        screen.acknowledges = True
        screen.session.ack_state.is_ack_due = True
        await screen.flush()
        await until_async(lambda: shows(screen, 255, 19, 19))


async def test_a_page_connects_again_and_its_old_session_ends(
    server: WebServer, draw: Draw
) -> None:
    async with Page(server.url) as page:
        await page.login(new_key(server, "control"))
        await page.connect()
        hello = await page.wait_for(web.SocketHello)
        await (await page.open("debian")).wait_open()
        registry = server.site._machines.served["debian"].screens[0].registry
        # The old socket is still open: the network was cut, and the server does not know.
        old, page.ws = page.ws, None
        assert page._reading is not None
        page._reading.cancel()
        await page.connect()
        screen = await page.open("debian", previous=f"{hello.socket}.1")
        await screen.wait_open()
        assert len(registry.viewers) == 1
        assert old is not None
        await old.close()


async def test_the_end_of_the_machine_ends_its_screen_and_the_page_lists_it(
    server: WebServer,
) -> None:
    async with page_of(server) as page:
        screen = await page.open("debian", role="view")
        await screen.wait_open()
        assert (await page.act(1, "debian", "power", how="quit")).error == ""
        await until_async(lambda: screen.session.stage is Stage.CLOSED)
        assert screen.session.reason == "debian has ended"
        await page.wait_for(web.MachineList, lambda message: message.machines == [])


async def test_revoking_a_session_ends_the_screens_of_its_socket(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        screen = await page.open("debian", role="view")
        await screen.wait_open()
        server.site.access.revoke([page.received[0].user])
        assert await page.wait_closed() == 1008
        registry = server.site._machines.served["debian"].screens[0].registry
        await until_async(lambda: not registry.all())


async def test_fifty_pages_share_one_encoding(server: WebServer, draw: Draw) -> None:
    async with page_of(server, "view") as page:
        screens = [await page.open("debian", number, "view") for number in range(1, 51)]
        for screen in screens:
            await screen.wait_open()
        await asyncio.to_thread(draw, "#336699")
        for screen in screens:
            await until_async(lambda screen=screen: shows(screen, 0x99, 0x66, 0x33))  # type: ignore[misc]
        encoders = server.site._machines.served["debian"].screens[0]._screen.picture().encoders
        assert len(encoders._made) == 1


async def test_list_counts_the_pages_that_show_a_machine(server: WebServer) -> None:
    async with page_of(server, "view") as one, page_of(server, "view") as other:

        def count() -> int:
            newest = [each for each in other.received if isinstance(each, web.MachineList)][-1]
            return newest.machines[0].pages

        await one.open("debian", role="view")
        await until_async(lambda: count() == 1)
        await other.open("debian", role="view")
        await until_async(lambda: count() == 2)
        await one.close()
        await until_async(lambda: count() == 1)
