"""A screen that moves everywhere, served by the code of kju web, or the pages that show it.

    python -m benchmarks.pages_ends serve RATE
    python -m benchmarks.pages_ends view URL KEY COUNT

The first prints its address and a key. The pages acknowledge without drawing, as a browser's part
is measured elsewhere. A line on standard input is answered with the bytes and messages of each;
the line `stop` makes one page more, which reads nothing after its first picture.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import aiohttp

from kju.serving.carrier import ServedViewer
from kju.serving.served_screen import ServedScreen
from kju.web import messages as web
from kju.web.access import Access
from kju.web.carrier import WebCarrier
from kju.web.listening import WebOptions
from kju.web.server import WebServer
from kju.wire import messages as wire
from kju.wire.greeting import Admission

from .far_screen import Animation

NAME = "animation"
#: Sockets that share a session: a session has a limit.
OF_SESSION = 16


async def serve(rate: float) -> None:
    async def act(viewer: ServedViewer, body: bytes) -> wire.InputDone:
        return wire.InputDone(1)

    animation, carrier = Animation(rate), WebCarrier(NAME)
    ServedScreen(carrier, animation, lambda hello, raw: Admission(hello.role), act).open()
    with tempfile.TemporaryDirectory() as folder:
        server = WebServer([], WebOptions(), access=Access(Path(folder)))
        server.site.carrier = lambda machine, console: carrier  # type: ignore[method-assign]

        def ready() -> None:
            key = server.site.access.make_link("view", machines=[], lifetime=3600, uses=99)[1]
            print(f"{server.url} {key}", flush=True)

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.run(ready))
            await animation.run(3600)
            serving.cancel()


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


async def view(url: str, key: str, count: int) -> None:
    sessions: list[aiohttp.ClientSession] = []

    async def new_page() -> Taker:
        if len(takers) >= OF_SESSION * len(sessions):
            jar = aiohttp.CookieJar(unsafe=True)
            session = aiohttp.ClientSession(cookie_jar=jar, headers={"Origin": url.rstrip("/")})
            sessions.append(session)
            await session.post(f"{url}api/login", json={"key": key})
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


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(float(sys.argv[2])))
    else:
        asyncio.run(view(sys.argv[2], sys.argv[3], int(sys.argv[4])))
