"""A page's half of `kju web` without a browser: real HTTP, real WebSockets, real decoding."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import msgspec
import numpy as np

from kju.protocol.messages import Keys
from kju.surface.producer import Producer
from kju.web import messages as web
from kju.web.access import Access
from kju.web.listening import WebOptions
from kju.web.messages import WebRole
from kju.web.server import WebServer
from kju.wire import messages as wire
from kju.wire.greeting import Stage
from kju.wire.receiver_session import ReceiverSession

from .background_server import serving
from .wait import HANG, until_async
from .wire_scene import surface

_Kind = TypeVar("_Kind")


@contextlib.asynccontextmanager
async def web_server(
    *names: str, access: Access | None = None, options: WebOptions | None = None
) -> AsyncIterator[WebServer]:
    """Serve machines on a free port of loopback."""
    server = WebServer(names, options or WebOptions(), access=access or Access())
    async with serving(server):
        yield server


def new_key(server: WebServer, role: WebRole = "manage", *machines: str, uses: int = 1) -> str:
    """Make a link, and return its key."""
    return server.site.access.make_link(role, machines=[*machines], lifetime=3600, uses=uses)[1]


class PageScreen:
    """One screen of a page, drawn on a surface of its own."""

    def __init__(self, page: Page, number: int, role: Any, **hello: Any) -> None:
        self.page, self.number = page, number
        self.target: Producer = surface(1 << 23)
        self.session = ReceiverSession(self.target)
        self.results: list[wire.InputDone] = []
        self.events: list[wire.MachineEvent] = []
        self.acknowledges = True
        self.inputs = 0
        self.session.start(role, **hello)

    @property
    def pixels(self) -> np.ndarray:
        """The picture: ``(height, width, 3)``, B G R."""
        return self.target.pixels[..., :3]

    async def flush(self) -> None:
        """Send what is due."""
        for message in self.session.to_send():
            if self.acknowledges or not isinstance(message, wire.Ack):
                await self.page.send(self.number, self.session.encode(message))

    async def receive(self, data: bytes) -> None:
        """Draw a message, and acknowledge it."""
        message = wire.decode_from_sender(data)
        found = self.session.receive(message, asyncio.get_running_loop().time())
        if isinstance(found, wire.InputDone):
            self.results.append(found)
        elif isinstance(found, wire.MachineEvent):
            self.events.append(found)
        await self.flush()

    async def wait_open(self) -> None:
        """Return when the session is open and has its whole first picture."""
        await until_async(lambda: self.session.stage is Stage.OPEN)
        await until_async(lambda: self.session.picture.complete_version > 0)

    async def input(self, body: Any) -> wire.InputDone:
        """Send an input, and return its result."""
        self.inputs += 1
        number = self.inputs
        now = self.session.clock(asyncio.get_running_loop().time())
        data = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
        await self.page.send(self.number, wire.encode(wire.ViewerInput(number, data, now)))
        await until_async(lambda: any(each.number == number for each in self.results))
        return next(each for each in self.results if each.number == number)

    async def press(self, key: int, *, down: bool) -> wire.InputDone:
        """Press or release a key."""
        return await self.input(Keys(steps=[(key, down)]))


class Page:
    """One page: cookies, one socket, screens.

    Args:
        url: The server's.
    """

    def __init__(self, url: str, *, ssl: Any = True) -> None:
        self.url, self.origin, self._ssl = url, url.rstrip("/"), ssl
        # A browser takes cookies from an address too.
        jar = aiohttp.CookieJar(unsafe=True)
        self.http = aiohttp.ClientSession(cookie_jar=jar)
        self.ws: aiohttp.ClientWebSocketResponse | None = None
        self.received: list[Any] = []
        self.screens: dict[int, PageScreen] = {}
        self._reading: asyncio.Task[None] | None = None
        self._close_code = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self.ws is not None:
            await self.ws.close()
        await self.http.close()

    def headers(self, **changes: str | None) -> dict[str, str]:
        """Return a browser's headers; a change to None removes one."""
        made = {"Origin": self.origin} | {k.replace("_", "-"): v for k, v in changes.items()}
        return {key: value for key, value in made.items() if value is not None}

    async def post(self, path: str, body: Any = None, **changes: str | None) -> tuple[int, Any]:
        """Send a POST; return the status, and the JSON of the answer."""
        url = self.url + path.lstrip("/")
        async with self.http.post(
            url, json=body, headers=self.headers(**changes), ssl=self._ssl
        ) as answer:
            text = await answer.text()
            return answer.status, msgspec.json.decode(text) if text else None

    async def get(self, path: str, **changes: str | None) -> tuple[int, bytes, Mapping[str, str]]:
        """Send a GET; return the status, the body and the headers."""
        url = self.url + path.lstrip("/")
        async with self.http.get(url, headers=self.headers(**changes), ssl=self._ssl) as answer:
            return answer.status, await answer.read(), answer.headers

    async def login(self, key: str) -> int:
        """Exchange a key for the cookie; return the status."""
        return (await self.post("/api/login", {"key": key}))[0]

    async def connect(
        self, token: str | None = None, *, protocol: str = web.SUBPROTOCOL, **changes: str | None
    ) -> None:
        """Open the socket, and read it in the background.

        Args:
            token: Of the first message; empty to send none; None for the cookie.
            protocol: The offered subprotocol.
            changes: Of the headers.
        """
        self.ws = await self.http.ws_connect(
            self.url + ("socket" if token is None else "socket?token"),
            protocols=(protocol,), headers=self.headers(**changes), max_msg_size=0, autoping=True,
            ssl=self._ssl,
        )  # fmt: skip
        self._close_code = 0
        self._reading = asyncio.create_task(self._read(self.ws))
        if token:
            await self.say(web.Authenticate(token))

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        # The code is that of the message: aiohttp replaces its own by 1006 if the connection ends
        # before the answer to the message is sent.
        kind = aiohttp.WSMsgType
        while (received := await ws.receive()).type not in (kind.CLOSED, kind.CLOSING):
            if received.type is kind.CLOSE:
                self._close_code = int(received.data)
                return
            assert received.type is kind.BINARY, received
            number, data = web.split_frame(received.data)
            if number == 0:
                self.received.append(web.decode_from_server(data))
            elif number in self.screens:
                await self.screens[number].receive(bytes(data))

    async def send(self, number: int, data: bytes) -> None:
        """Send a message about a screen, or of the socket's own."""
        assert self.ws is not None
        with contextlib.suppress(ConnectionError):
            await self.ws.send_bytes(web.frame(number, data))

    async def say(self, message: Any) -> None:
        """Send a message of the socket's own."""
        await self.send(0, wire.encode(message))

    async def wait_for(
        self, kind: type[_Kind], check: Callable[[_Kind], object] = lambda message: True
    ) -> _Kind:
        """Return the first message of the socket's own of a kind."""

        def found() -> _Kind | None:
            return next((m for m in self.received if isinstance(m, kind) and check(m)), None)

        await until_async(found, f"{kind.__name__} of {self.received[-3:]}")
        message = found()
        assert message is not None
        return message

    async def wait_closed(self) -> int:
        """Return the socket's close code, when it has closed."""
        assert self._reading is not None and self.ws is not None
        async with asyncio.timeout(HANG):
            await asyncio.shield(self._reading)
        return self._close_code or self.ws.close_code or 0

    async def open(
        self, machine: str, number: int = 1, role: Any = "control", console: int = 0, **hello: Any
    ) -> PageScreen:
        """Open a screen; the session is still to be answered."""
        self.screens[number] = screen = PageScreen(self, number, role, **hello)
        await self.say(web.OpenScreen(number, machine, console))
        await screen.flush()
        return screen

    async def act(self, number: int, machine: str, action: str, **arguments: Any) -> Any:
        """Carry out an action; return its `ActionResult`."""
        await self.say(web.Act(number, machine, action, arguments))
        return await self.wait_for(web.ActionResult, lambda result: result.number == number)


@contextlib.asynccontextmanager
async def page_of(
    server: WebServer, role: WebRole = "manage", *machines: str
) -> AsyncIterator[Page]:
    """Yield a page with a session and a socket."""
    async with Page(server.url) as page:
        assert await page.login(new_key(server, role, *machines)) == 204
        await page.connect()
        await page.wait_for(web.MachineList)
        yield page


def has_secret(text: str, folder: Path) -> bool:
    """Return whether a text is in any file of a folder."""
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
