"""A screen served by the code of kju web, or pages that show it; no browser.

    python -m benchmarks.pages_ends serve RATE          a screen that moves everywhere
    python -m benchmarks.pages_ends tick                the screen of far_ticker.py, and its lines
    python -m benchmarks.pages_ends view URL KEY COUNT  pages that acknowledge without drawing
    python -m benchmarks.pages_ends show URL KEY        a page that draws
    python -m benchmarks.pages_ends press URL KEY       the same, and presses a key

The first two print their address and a key. The pages of `view` answer a line on standard input
with the bytes and messages of each; the line `stop` makes one page more, which reads nothing after
its first picture. `show` connects again after the end of its socket, and prints the time and the
checksum of the picture after each change. `press` answers a line with a number: the milliseconds
of as many presses, from each to its pixels.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp

from kju.memory import SurfaceProducer
from kju.serving.carrier import ServedViewer
from kju.serving.served_screen import ServedScreen
from kju.serving.shared_screen import ScreenOrigin
from kju.web import messages as web
from kju.web.access import Access
from kju.web.carrier import WebCarrier
from kju.web.listening import WebOptions
from kju.web.server import WebServer
from kju.wire import messages as wire
from kju.wire.greeting import Admission
from kju.wire.receiver_session import ReceiverSession

from .ages import HEIGHT, WIDTH
from .far_screen import Animation
from .far_ticker import KEY, Ticker, checksum
from .keys import BUSY

NAME = "animation"
#: Sockets that share a session: a session has a limit.
OF_SESSION = 16
#: Seconds from the end of a socket to the next one, and for the pixels of a press.
AGAIN, PATIENCE = 0.1, 10.0


# ---- the server ----


@contextlib.asynccontextmanager
async def served(screen: ScreenOrigin, act: Callable[[], None]) -> AsyncIterator[ServedScreen]:
    """Serve a screen, and print the address and a key."""

    async def carry_out(viewer: ServedViewer, body: bytes) -> wire.InputDone:
        act()
        return wire.InputDone(1)

    def ready() -> None:
        key = server.site.access.make_link("control", machines=[], lifetime=3600, uses=99)[1]
        print(f"{server.url} {key}", flush=True)

    carrier = WebCarrier(NAME)
    one = ServedScreen(carrier, screen, lambda hello, raw: Admission(hello.role), carry_out)
    one.open()
    with tempfile.TemporaryDirectory() as folder:
        server = WebServer([], WebOptions(), access=Access(Path(folder)))
        server.site.carrier = lambda machine, console: carrier  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.run(ready))
            yield one
            serving.cancel()


async def serve(rate: float) -> None:
    animation = Animation(rate)
    async with served(animation, lambda: None):
        await animation.run(3600)


async def tick() -> None:
    ticker = Ticker()
    async with served(ticker, ticker.press) as screen:
        await ticker.follow(lambda: len(screen.registry.all()))


# ---- pages that do not draw ----


class Taker:
    """One page: counts and acknowledges."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.messages = self.bytes = 0
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        hello = wire.SessionHello(1, "view", ["zstd"], 1 << 20)
        await self.ws.send_bytes(web.encode(web.OpenScreen(1, NAME)))
        await self.ws.send_bytes(web.frame(1, wire.encode(hello)))
        self._task = asyncio.create_task(self._run())
        while not self.messages:
            await asyncio.sleep(0.01)

    async def _run(self) -> None:
        async for received in self.ws:
            number, data = web.split_frame(received.data)
            if number:
                message = wire.decode_from_sender(bytes(data))
                if isinstance(message, wire.Numbered):
                    self.messages += 1
                    self.bytes += len(data)
                    ack = wire.encode(wire.Ack(message.serial))
                    await self.ws.send_bytes(web.frame(1, ack))

    def stop(self) -> None:
        """Read nothing more."""
        if self._task is not None:
            self._task.cancel()
        self.ws._conn.transport.pause_reading()  # type: ignore[union-attr]


async def new_session(url: str, key: str) -> aiohttp.ClientSession:
    """Exchange a key for a cookie."""
    jar = aiohttp.CookieJar(unsafe=True)
    session = aiohttp.ClientSession(cookie_jar=jar, headers={"Origin": url.rstrip("/")})
    await session.post(f"{url}api/login", json={"key": key})
    return session


async def view(url: str, key: str, count: int) -> None:
    sessions: list[aiohttp.ClientSession] = []

    async def new_page() -> Taker:
        if len(takers) >= OF_SESSION * len(sessions):
            sessions.append(await new_session(url, key))
        ws = await sessions[-1].ws_connect(f"{url}socket", protocols=[web.SUBPROTOCOL])
        taker = Taker(ws)
        await taker.open()
        return taker

    takers: list[Taker] = []
    while len(takers) < count:
        takers.append(await new_page())
    print("open", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "stop":
            (await new_page()).stop()
        print(json.dumps({"bytes": [each.bytes for each in takers],
                          "messages": [each.messages for each in takers]}), flush=True)  # fmt: skip


# ---- pages that draw ----


class Drawn:
    """One page: draws and acknowledges.

    Args:
        on_drawn: Called after each message about the screen.
    """

    def __init__(self, on_drawn: Callable[[], object]) -> None:
        self._on_drawn = on_drawn
        self.target = SurfaceProducer.create("memfd:kju-bench-page", capacity=WIDTH * HEIGHT * 4)
        self.session = ReceiverSession(self.target)
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._inputs = 0

    async def run(self, session: aiohttp.ClientSession, url: str) -> None:
        """Show the screen until the end of the socket."""
        self.session = ReceiverSession(self.target)
        self.session.start("control", codecs=["zstd"])
        async with session.ws_connect(f"{url}socket", protocols=[web.SUBPROTOCOL]) as ws:
            self._ws = ws
            await ws.send_bytes(web.encode(web.OpenScreen(1, NAME)))
            await self._flush()
            async for received in ws:
                number, data = web.split_frame(received.data)
                if number:
                    now = asyncio.get_running_loop().time()
                    self.session.receive(wire.decode_from_sender(bytes(data)), now)
                    await self._flush()
                    self._on_drawn()

    @property
    def key(self) -> int:
        """The value of the key's square; -1 before the first picture."""
        x, y = KEY
        return int(self.target.pixels[y, x, 0]) if self.session.picture.complete_version else -1

    async def press(self) -> None:
        """Send an input."""
        assert self._ws is not None
        self._inputs += 1
        now = self.session.clock(asyncio.get_running_loop().time())
        message = wire.ViewerInput(self._inputs, b"", now)
        await self._ws.send_bytes(web.frame(1, wire.encode(message)))

    async def _flush(self) -> None:
        assert self._ws is not None
        for message in self.session.to_send():
            await self._ws.send_bytes(web.frame(1, self.session.encode(message)))


async def show(url: str, key: str) -> None:
    changed = asyncio.Event()

    async def report() -> None:
        """Print once for all messages that have arrived: a checksum takes longer than a drawing."""
        while await changed.wait():
            changed.clear()
            if page.session.picture.complete_version:
                print(json.dumps([time.monotonic(), checksum(page.target.pixels)]), flush=True)
            await asyncio.sleep(0)

    page = Drawn(changed.set)
    async with await new_session(url, key) as session, asyncio.TaskGroup() as group:
        group.create_task(report())
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await page.run(session, url)
            await asyncio.sleep(AGAIN)


async def press(url: str, key: str) -> None:
    changed = asyncio.Event()

    async def one() -> float:
        """Press, and return the milliseconds; negative if no pixel changed."""
        before, begun = page.key, time.monotonic()
        await page.press()
        while page.key == before:
            changed.clear()
            try:
                await asyncio.wait_for(changed.wait(), PATIENCE)
            except TimeoutError:
                return -1.0
        return 1000 * (time.monotonic() - begun)

    page = Drawn(changed.set)
    async with await new_session(url, key) as session:
        running = asyncio.create_task(page.run(session, url))
        while page.key < 0:
            await asyncio.sleep(0.01)
        print("open", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            found = []
            for _ in range(int(line)):
                found.append(await one())
                await asyncio.sleep(BUSY)
            print(json.dumps(found), flush=True)
        running.cancel()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", rate]:
            asyncio.run(serve(float(rate)))
        case ["tick"]:
            asyncio.run(tick())
        case ["view", url, key, count]:
            asyncio.run(view(url, key, int(count)))
        case ["show", url, key]:
            asyncio.run(show(url, key))
        case ["press", url, key]:
            asyncio.run(press(url, key))
        case _:
            raise SystemExit(__doc__)
