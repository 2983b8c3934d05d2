"""The lamps of a keyboard: known when QEMU has told them, and not before a guest has set them."""

from __future__ import annotations

import asyncio

from kju.emulators.input import lamps
from kju.keys import Lamps

CAPS = 0x3A


def test_they_are_unknown_until_they_are_announced() -> None:
    async def main() -> None:
        keyboard = lamps.KeyboardLamps()
        keyboard.sent([(CAPS, True)])
        assert await keyboard.read() is None
        keyboard.update(6)
        assert await keyboard.read() == Lamps(scroll=False, num=True, caps=True)

    asyncio.run(main())


def test_a_change_is_awaited_after_a_lock_key() -> None:
    async def main() -> None:
        keyboard = lamps.KeyboardLamps()
        keyboard.update(0)
        keyboard.sent([(CAPS, True), (CAPS, False)])
        reading = asyncio.create_task(keyboard.read())
        await asyncio.sleep(0)
        assert not reading.done()
        keyboard.update(4)
        assert (await reading).names == ["caps"]

    asyncio.run(main())


def test_a_guest_that_lights_nothing_is_not_waited_for_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(lamps, "SETTLE_SECONDS", 0.01)

    async def main() -> None:
        keyboard = lamps.KeyboardLamps()
        keyboard.update(0)
        keyboard.sent([(CAPS, True)])
        assert (await keyboard.read()).names == []
        keyboard.sent([(0x1E, True)])  # no lock key: nothing to wait for
        assert (await keyboard.read()).names == []

    asyncio.run(main())
