"""List the screens of a network."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.hostile_text import HOSTILE
from support.link_scene import free_port

from kju.cli import network
from kju.remote import addresses
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.transport import Engine

pytest.importorskip("zenoh")


def test_remote_screens_are_listed_in_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Any peer can choose the name of a screen, with control characters in it."""
    pytest.importorskip("zenoh")

    place = f"tcp/127.0.0.1:{free_port()}"
    names = [f"lab/x{text}" for name, text in HOSTILE.items() if name != "surrogate"]
    served, over = threading.Event(), threading.Event()

    async def serve() -> None:
        engine = await Engine.open(SessionOptions(listen=[endpoint(place)], datagrams=False))
        for name in names:
            if not set(name) & set("#?$*\0"):  # zenoh rejects these in a key
                engine.declare_token(addresses.presence(name))
        served.set()
        await asyncio.to_thread(over.wait, 60)
        await engine.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert served.wait(30)
        network.list_screens([place], "", True, False)
    finally:
        over.set()
        thread.join(30)
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.split("\n"))
