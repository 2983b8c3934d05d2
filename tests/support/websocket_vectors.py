"""The messages of tests/support/websocket_vectors.json, which the tests of the page use too.

Run this file to write the JSON anew: ``python tests/support/websocket_vectors.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from kju.protocol.messages import Keys, Point, Resize
from kju.protocol.values import Button, By, Finger, To, TurnWheel
from kju.web import messages as web
from kju.wire import messages as wire

FILE = Path(__file__).with_suffix(".json")

_SOCKET = "0123456789abcdef0123456789abcdef"
_body = msgspec.msgpack.encode
#: Name, sending end, number of the screen, message.
MESSAGES: list[tuple[str, str, int, Any]] = [
    ("authenticate", "page", 0, web.Authenticate("t" * 43)),
    ("open console 0", "page", 0, web.OpenScreen(1, "debian")),
    ("open console 1", "page", 0, web.OpenScreen(200, "debian", 1)),
    ("close", "page", 0, web.CloseScreen(200)),
    ("wall", "page", 0, web.MachinesInView(["debian", "web-1"])),
    ("wall out of view", "page", 0, web.MachinesInView()),
    ("power", "page", 0, web.Act(1, "debian", "power", {"how": "pause"})),
    ("type", "page", 0, web.Act(2, "debian", "type", {"text": "grün €\n", "layout": "de"})),
    ("cancel", "page", 0, web.CancelAction(2)),
    ("page leaves", "page", 0, wire.Goodbye()),
    ("hello", "page", 1, wire.SessionHello(
        1, "control", ["zstd"], 1 << 20, previous=f"{_SOCKET}.1")),
    ("hello with photos", "page", 200, wire.SessionHello(
        1, "view", ["zstd", "jpeg"], 1 << 20, lossy=True, rate=2.0)),
    ("ack", "page", 1, wire.Ack(7, timestamp=1234)),
    ("keys", "page", 1, wire.ViewerInput(1, _body(Keys(steps=[(30, True), (30, False)])), 100)),
    ("pointer", "page", 1, wire.ViewerInput(
        2, _body(Point(actions=[To(640, 400), Button(0, True), Button(0, False)])), 70_000)),
    ("relative pointer and wheel", "page", 1, wire.ViewerInput(
        3, _body(Point(actions=[By(-3, 200), TurnWheel(1, -1)])), 70_001)),
    ("finger", "page", 1, wire.ViewerInput(4, _body(Point(actions=[Finger(0, "begin", 5, 6)])))),
    ("resize", "page", 1, wire.ViewerInput(5, _body(Resize(width=1234, height=777)))),
    ("hidden page", "page", 1, wire.ViewerRate(1, 0.0)),
    ("visible page", "page", 1, wire.ViewerRate(2, None)),
    ("viewer leaves", "page", 1, wire.Goodbye("the page was closed")),
    ("socket hello", "server", 0, web.SocketHello(
        1, _SOCKET, "5f2c", "link 3", "control", "lab1")),
    ("machines", "server", 0, web.MachineList([
        web.WebMachine("debian", "qemu", "running", 2, True),
        web.WebMachine("web-1", "", "off", 0, True)])),
    ("screen closed", "server", 0, web.ScreenClosed(200, "web-1 is not running")),
    ("result", "server", 0, web.ActionResult(1, b'{"state":"paused"}')),
    ("failed result", "server", 0, web.ActionResult(
        2, error="RoleError", reason="a control session cannot use power")),
    ("progress", "server", 0, web.ActionProgress(2, 120, 5000)),
    ("small picture", "server", 0, web.SmallPicture(
        "debian", 17, 320, 200, 1280, 800, b"\xff\xd8\xff\xd9")),
    ("server ends", "server", 0, wire.Goodbye("the session was revoked")),
    ("welcome", "server", 1, wire.SessionWelcome(
        1, 1 << 40, "zstd", "control", 32, rates=True)),
    ("refused", "server", 1, wire.SessionRefused("debian has no room for another viewer")),
    ("mode", "server", 1, wire.ModeUpdate(1, 1, 1280, 800)),
    ("state", "server", 1, wire.StateUpdate(2, 1)),
    ("cursor", "server", 1, wire.CursorUpdate(3, True, 10, -2, shape=None)),
    ("segment", "server", 1, wire.Segment(4, 1, 1, 17, 17, 0, b"")),
    ("lossy segment", "server", 200, wire.LossySegment(
        5, 0, 1, 18, 0, 0, b"", 3, [wire.Photo(0, 0, 64, 64, b"\xff\xd8\xff\xd9")])),
    ("ping", "server", 1, wire.Ping(6, 18)),
    ("done", "server", 1, wire.InputDone(1, 1, 17)),
    ("failed done", "server", 1, wire.InputDone(
        2, error="RoleError", reason="a view client cannot send input")),
    ("rate done", "server", 1, wire.RateDone(2, 19)),
    ("event", "server", 1, wire.MachineEvent("resumed", b'{"by":"kju"}')),
    ("goodbye", "server", 1, wire.Goodbye("debian has ended")),
]  # fmt: skip

#: WebSocket messages that either end must reject.
INVALID = {
    "empty": "",
    "a number and nothing else": "01",
    "half a number": "80",
    "a number in two bytes that fits in one": "8000c0",
    "a number of three bytes": "808001c0",
    "not msgpack": "00c1",
    "half a message": "009441",
    "an unknown message": "0091cd03e7",
    "a map": "0080",
    "nested arrays": "00" + "91" * 2000 + "c0",
}


def vectors() -> dict[str, Any]:
    """Return the content of the file."""
    return {
        "messages": [
            {
                "name": name,
                "from": sender,
                "screen": screen,
                "message": _plain(msgspec.to_builtins(message, builtin_types=(bytes,))),
                "hex": web.frame(screen, msgspec.msgpack.encode(message)).hex(),
            }
            for name, sender, screen, message in MESSAGES
        ],
        "invalid": INVALID,
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON, bytes as ``{"hex": ...}``."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def text() -> str:
    """Return the text of the file."""
    return json.dumps(vectors(), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
