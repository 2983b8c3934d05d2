"""The bodies of viewers' inputs, which are hostile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from kju.client.aio.link import AsyncLink
from kju.errors import PeerError, UsageError
from kju.protocol.messages import Keys
from kju.serving.served_machine import ServedMachine, decode_input


def test_an_input_is_decoded() -> None:
    keys = Keys(steps=[(30, True)])
    assert decode_input(msgspec.msgpack.encode(keys)) == keys


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x81\xa4type\xa2\xff\xff",
        b"\x83\xa4type\xa4keys\xa5steps\x90\xa1x" + b"\x91" * 12_000 + b"\xc0",
    ],
    ids=["empty", "not msgpack", "no type", "not UTF-8", "nested"],
)
def test_an_invalid_input_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError, match="not a valid input"):
        decode_input(body)


async def test_failed_events_are_logged_once_and_the_machine_stays_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def attach(*_: object) -> AsyncLink:
        raise PeerError("the host is of another version")

    monkeypatch.setattr(AsyncLink, "attach", attach)
    ended = asyncio.Event()
    link = SimpleNamespace(
        name="web", welcome=SimpleNamespace(consoles=0), ended=ended, close=lambda: None
    )
    served = ServedMachine(link, "lab/web", "qemu", None, None)  # type: ignore[arg-type]
    running = asyncio.create_task(served.run())
    while not caplog.records:
        await asyncio.sleep(0)
    assert not running.done()
    ended.set()
    await running
    (record,) = caplog.records
    assert "web get no more of its events: the host is of another version" in record.getMessage()
