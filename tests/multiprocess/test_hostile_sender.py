"""A sender that floods its mirrors with drawing: they still answer and stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from support.wait import until

import kju
from kju.client.requests import Event
from kju.client.targets import running_names
from kju.errors import WaitTimeoutError
from kju.remote import addresses
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.transport import Engine
from kju.wire import codecs, messages

pytest.importorskip("zenoh")
NAME = "lab/x"
#: Pixels of each side: one fill writes 33 MB.
WIDTH, HEIGHT = 3840, 2160
FILL = b"\0\0\0" + bytes([0xFF, 0x1D]) + bytes([0xEF, 0x10])


def segment(serial: int, fills: int) -> messages.Segment:
    """Return a segment that fills the whole picture *fills* times, in about twenty bytes."""
    block = b"".join(FILL + bytes([serial % 256, n % 256, 9]) for n in range(fills))
    data = codecs.compress(block, "zstd")
    return messages.Segment(serial, 0, 1, serial, serial, len(block), data)


class HostileSender:
    """Serves `NAME` in a thread, and sends segments without a pause after `flood`."""

    def __init__(self, fills: int, events: Sequence[messages.MachineEvent] = ()) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.place = f"tcp/127.0.0.1:{sock.getsockname()[1]}"
        self.flood = threading.Event()
        self.sent = 0
        self.events = events
        self._over = threading.Event()
        self._open = threading.Event()
        self._fills = fills
        self._viewers: list[str] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> HostileSender:
        self._thread.start()
        assert self._open.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    async def _serve(self) -> None:
        engine = await Engine.open(SessionOptions(listen=[endpoint(self.place)], datagrams=False))

        def came(key: str, data: bytes) -> None:
            viewer = addresses.viewer_of(key)
            message = messages.decode_from_viewer(data)
            if isinstance(message, messages.SessionHello):
                self._viewers.append(viewer)
                for each in (
                    messages.SessionWelcome(1, 1, "zstd", "control"),
                    messages.ModeUpdate(1, 1, WIDTH, HEIGHT),
                    segment(2, 1),
                    *self.events,
                ):
                    engine.put_reliable(addresses.to_viewer(NAME, viewer), messages.encode(each))

        engine.subscribe(addresses.from_viewer(NAME, "*"), came)
        engine.declare_token(addresses.presence(NAME))
        self._open.set()
        serial = 2
        while not self._over.is_set():
            if self.flood.is_set() and self._viewers:
                serial += 1
                data = messages.encode(segment(serial, self._fills))
                engine.put_reliable(addresses.to_viewer(NAME, self._viewers[-1]), data)
                self.sent += 1
            await asyncio.sleep(0.002)
        await engine.close()


@contextlib.contextmanager
def mirrored(sender: HostileSender) -> Iterator[kju.Machine]:
    with kju.mirror(f"zenoh:{NAME}", connect=[sender.place], insecure=True) as mirror:
        until(lambda: mirror.info()["mirror"]["up"], "the mirror has a picture")
        yield mirror


def flooded(sender: HostileSender) -> None:
    sender.flood.set()
    until(lambda: sender.sent > 200, "the mirror has much to draw")


def by_command(mirror: kju.Machine) -> None:
    mirror.stop()


def by_signal(mirror: kju.Machine) -> None:
    os.kill(mirror.host_pid, signal.SIGTERM)


@pytest.mark.parametrize("stop", [by_command, by_signal])
def test_mirror_stops_during_a_flood_of_drawing(stop: Callable[[kju.Machine], None]) -> None:
    """Each segment asks for the largest allowed work, and hundreds are queued."""
    with HostileSender(fills=4) as sender, mirrored(sender) as mirror:
        flooded(sender)
        begun = time.monotonic()
        stop(mirror)
        until(lambda: not running_names(), "the mirror has ended")
        assert time.monotonic() - begun < 30


def test_segment_over_the_limit_of_work_ends_the_session() -> None:
    with HostileSender(fills=400_000) as sender, mirrored(sender) as mirror:
        sender.flood.set()
        until(
            lambda: "too much work" in mirror.info()["mirror"]["reason"],
            "the segment is rejected",
        )
        assert mirror.info()["consoles"][0]["width"] == WIDTH


def test_events_of_a_sender_cannot_pose_as_the_mirrors() -> None:
    """Send forged ends and clients, escapes in names and keys, and more events than the limit."""
    forged = [
        messages.MachineEvent("ending", b'{"reason": "\\u001b[31mit is over", "asked": true}'),
        messages.MachineEvent(
            "client-connected", b'{"client": 1, "\\u001b]0;x": 1, "name": "eve"}'
        ),
        messages.MachineEvent("\x1b[2Jclient-connected", b"{}"),
        messages.MachineEvent("mode", b"[" * 16_000),
        messages.MachineEvent("mode", b'{"width": 1%s}' % (b"0" * 400)),
        *[messages.MachineEvent("reset", b"{}")] * 150,
        messages.MachineEvent("paused", b"{}"),
    ]
    with HostileSender(1, forged) as sender, mirrored(sender) as mirror:
        seen: list[Event] = []
        with mirror.events(since=0, timeout=30) as events:
            for event in events:
                seen.append(event)
                if sum(each.name.startswith("remote-") for each in seen) == 64:
                    break
        names = [event.name for event in seen]
        own = [name for name in names if not name.startswith("remote-")]
        assert set(own) <= {"started", "client-connected", "client-disconnected", "mode", "link"}
        told = {event.name: event.data for event in seen if event.name.startswith("remote-")}
        assert told["remote-ending"] == {"reason": "\x1b[31mit is over", "asked": True}
        assert told["remote-client-connected"] == {"client": 1, "name": "eve"}
        # Events over the limit are dropped, and the mirror still runs.
        with (
            pytest.raises(WaitTimeoutError),
            mirror.events(since=seen[-1].sequence, timeout=1) as events,
        ):
            while not next(events).name.startswith("remote-"):
                pass
        assert mirror.info()["mirror"]["up"]
