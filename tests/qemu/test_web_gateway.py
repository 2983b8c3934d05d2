"""A guest of another computer in a page: its input, what is held, and both roles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.far_web import NAME, Far, near, served
from support.tablet_guest import Pointed, booted_tablet
from support.trusting import make_lab
from support.wait import until_async
from support.web_page import page_of

import kju.aio
from kju.remote.trust import Trust
from kju.web.server import WebServer
from kju.wire.greeting import Stage

pytest.importorskip("zenoh")
pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trust:
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "lab"))
    return make_lab(tmp_path / "lab")


@pytest.fixture
async def far(lab: Trust) -> AsyncIterator[Far]:
    async with (
        await kju.aio.launch(name="debian", memory="64M") as machine,
        served(machine) as made,
    ):
        yield made


@pytest.fixture
async def server(far: Far, lab: Trust) -> AsyncIterator[WebServer]:
    async with near(far, lab) as made:
        yield made


async def test_a_far_guest_is_driven(server: WebServer, far: Far) -> None:
    async with page_of(server, "control") as page:
        screen = await page.open(NAME)
        await screen.wait_open()
        assert (await screen.press(30, down=True)).reason == ""
        assert await far.held() == ([30], [])
        done = await screen.press(30, down=False)
        assert done.reason == ""
        assert await far.held() == ([], [])
        # The version is one of the surface here, with which the page finds the answer.
        consumer = server.site._gateway.screens[NAME]._origin.consumer
        assert 0 < done.version <= consumer.reader.version
        before = len(far.machine.input_log())
        assert (await page.act(1, NAME, "type", text="Hello")).reason == ""
        assert len(far.machine.input_log()) > before


async def test_the_role_of_the_key_limits_a_page_that_may_manage(far: Far, lab: Trust) -> None:
    async with near(far, lab, "vic") as server, page_of(server, "manage") as page:
        screen = await page.open(NAME)
        await screen.wait_open()
        assert screen.session.welcome is not None
        assert screen.session.welcome.role == "view"
        assert (await screen.press(30, down=True)).error == "RoleError"
        assert (await page.act(1, NAME, "type", text="x")).error == "RoleError"
        assert await far.held() == ([], [])


async def test_the_role_of_the_session_limits_a_key_that_may_control(
    server: WebServer, far: Far
) -> None:
    async with page_of(server, "view") as page:
        screen = await page.open(NAME, role="control")
        await screen.wait_open()
        assert (await screen.press(30, down=True)).error == "RoleError"
        assert (await page.act(1, NAME, "type", text="x")).error == "RoleError"
        assert await far.held() == ([], [])


async def test_keys_and_buttons_of_a_page_that_leaves_are_released(
    server: WebServer, far: Far
) -> None:
    async with page_of(server, "control") as page, page_of(server, "control") as other:
        first, second = await page.open(NAME), await other.open(NAME)
        await first.wait_open()
        await second.wait_open()
        await first.press(42, down=True)
        await first.input({"type": "point", "actions": [["button", 0, True]]})
        await second.press(42, down=True)
        assert await far.held() == ([42], ["left"])
        await page.close()
        await until_async(lambda: len(server.site.sockets) == 1)
        while (await far.held())[1]:
            await asyncio.sleep(0.05)
        assert await far.held() == ([42], [])  # the other page still holds it
        await second.press(42, down=False)
        assert await far.held() == ([], [])


async def test_a_finger_of_a_page_that_leaves_is_lifted(lab: Trust, tmp_path: Path) -> None:
    with booted_tablet(tmp_path, "debian") as guest:
        async with (
            await kju.aio.attach("debian", "view") as machine,
            served(machine) as far,
            near(far, lab) as server,
            page_of(server, "control") as page,
            page_of(server, "control") as other,
        ):
            first, second = await page.open(NAME), await other.open(NAME)
            await first.wait_open()
            await second.wait_open()  # the session with the sender continues for this page
            pointed = Pointed(guest)
            finger = {"type": "point", "actions": [["finger", 3, "begin", 680, 384]]}
            assert (await first.input(finger)).reason == ""
            await until_async(lambda: "finger y" in pointed.said)
            assert "finger -1" not in pointed.said
            await page.close()
            await until_async(lambda: "finger -1" in pointed.said)
            assert second.session.stage is Stage.OPEN
