"""A sender that serves screens over zenoh and sends what a test wants, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence

import msgspec

from kju.remote import addresses
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.transport import Engine
from kju.wire import codecs, messages
from kju.wire.messages import ModeUpdate, Segment, SessionRefused, SessionWelcome, StateUpdate

HOSTILE_TEXT = "<b>\u202egnp.exe</b>&\x1b[2J\n" * 20

#: What is sent after a hello: messages, or bytes as they are.
Script = Sequence[messages.WireMessage | bytes]


def raw(*fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


def picture(serial: int, epoch: int, width: int, height: int) -> Script:
    """A mode and a segment that completes its black picture."""
    block = codecs.compress(b"", "zstd")
    return [
        ModeUpdate(serial, epoch, width, height),
        Segment(serial + 1, 0, epoch, serial, serial, 0, block),
    ]


WELCOME = SessionWelcome(messages.PROTOCOL, 7, "zstd", "view", rates=True)
_FRAME = codecs.compress(bytes(4096), "zstd")
_BROKEN = _FRAME[:-1] + bytes([_FRAME[-1] ^ 0x55])
#: The lies, by the name of the screen; the picture is right before the lie in some of them.
LIES: Mapping[str, Script] = {
    "sizes": [WELCOME, ModeUpdate(1, 1, 64, 64), Segment(2, 0, 1, 1, 1, 100, _FRAME)],
    "checksums": [WELCOME, ModeUpdate(1, 1, 64, 64), Segment(2, 0, 1, 1, 1, 4096, _BROKEN)],
    "modes": [WELCOME, *(ModeUpdate(n, n, 1 + n % 900, 700) for n in range(1, 1500))],
    "giant": [WELCOME, raw(19, 1, 1, 65535, 65535)],
    "large": [WELCOME, *picture(1, 1, 6000, 6000)],
    "refuses": [SessionRefused(HOSTILE_TEXT)],
    "reasons": [WELCOME, *picture(1, 1, 64, 64), StateUpdate(3, 3, HOSTILE_TEXT)],
    "rates": [WELCOME, *picture(1, 1, 64, 64), raw(29, float("nan"), 1e9)],
    "events": [
        WELCOME, *picture(1, 1, 64, 64),
        *(messages.MachineEvent(HOSTILE_TEXT[:256], b"{" * 9000) for _ in range(300)),
    ],
}  # fmt: skip


class LyingSender:
    """The sender.

    Args:
        where: The endpoint.
        scripts: What the screens send after each hello, by their names.
    """

    def __init__(self, where: str, scripts: Mapping[str, Script] = LIES) -> None:
        self.hellos: list[str] = []
        self.rates: dict[str, list[float | None]] = {}
        self._where, self._scripts = where, scripts
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    async def _run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        engine = await Engine.open(SessionOptions(listen=[endpoint(self._where)]))
        for name in self._scripts:
            engine.subscribe(addresses.from_viewer(f"lab/{name}", "*"), self._answer(engine, name))
            engine.declare_token(addresses.presence(f"lab/{name}"))
        self._ready.set()
        await self._stopped.wait()
        await engine.close()

    def _answer(self, engine: Engine, name: str) -> Callable[[str, bytes], None]:
        answered: set[str] = set()

        def answer(key: str, data: bytes) -> None:
            message = messages.decode_from_viewer(data)
            viewer = addresses.viewer_of(key)
            if isinstance(message, messages.ViewerRate):
                self.rates.setdefault(name, []).append(message.rate)
            if not isinstance(message, messages.SessionHello) or viewer in answered:
                return
            answered.add(viewer)
            self.hellos.append(name)
            self.rates.setdefault(name, []).append(message.rate)
            to = addresses.to_viewer(f"lab/{name}", viewer)
            for each in self._scripts[name]:
                engine.put_reliable(to, each if isinstance(each, bytes) else messages.encode(each))

        return answer

    def close(self) -> None:
        """Vanish without a goodbye."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(60)
