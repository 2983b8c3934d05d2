"""Questions and answers over zenoh."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.link_scene import engine, free_port
from support.wait import HANG, until

from kju.remote.transport import MAX_QUESTION, MAX_QUESTIONS

zenoh = pytest.importorskip("zenoh")


async def test_a_question_gets_all_parts_of_its_answer() -> None:
    place = f"tcp/127.0.0.1:{free_port()}"
    async with engine(listen=[place]) as here, engine(connect=[place]) as there:
        seen: list[bytes] = []

        def answer(key: str, data: bytes) -> list[tuple[str, bytes]]:
            seen.append(data)
            return [(f"kju/test/{part}", bytes([part]) * 60_000) for part in range(5)]

        undo = here.answer("kju/test/**", answer)
        found = await asyncio.to_thread(there.ask, "kju/test/*", b"why?", HANG)
        assert dict(found) == {f"kju/test/{n}": bytes([n]) * 60_000 for n in range(5)}
        assert seen == [b"why?"]
        # A long question is not read.
        too_long = bytes(MAX_QUESTION + 1)
        assert await asyncio.to_thread(there.ask, "kju/test/*", too_long, HANG) == []
        assert len(seen) == 1
        undo()
        assert await asyncio.to_thread(there.ask, "kju/test/*", b"why?", HANG) == []


async def test_questions_that_nobody_has_time_for_get_no_answer() -> None:
    place = f"tcp/127.0.0.1:{free_port()}"
    async with engine(listen=[place]) as here, engine(connect=[place]) as there:
        here.answer("kju/test/**", lambda key, data: [("kju/test/0", data)])
        # This blocks the event loop: no question is answered until all have arrived.
        asking = [
            there.session.get("kju/test/*", payload=b"x", timeout=HANG)
            for _ in range(4 * MAX_QUESTIONS)
        ]
        until(lambda: sum(map(is_refused, asking)) == 3 * MAX_QUESTIONS, "the others are refused")
        # Those that waited are answered, and others after them.
        async with asyncio.timeout(HANG):
            while not await asyncio.to_thread(there.ask, "kju/test/*", b"later", HANG):
                pass
        assert [reply.ok.payload.to_bytes() for each in asking for reply in each] == (
            [b"x"] * MAX_QUESTIONS
        )


def is_refused(replies: Any) -> bool:
    """Return whether a question has ended without an answer."""
    try:
        assert replies.try_recv() is None
    except zenoh.ZError:
        return True
    return False
