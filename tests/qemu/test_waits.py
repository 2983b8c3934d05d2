"""Waits on real guests: a console whose cursor blinks, and GRUB's menu.

The installer's example tests waits for texts and images in graphics.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

import kju
import kju.aio
from kju.acting import Chord, ExpectationError
from kju.vision import Needle, ScreenTimeoutError

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "wait_for_text.py"


@pytest.fixture(params=["vram", "drm"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[kju.Machine]:
    """A shell on a text console with a cursor, in VGA text or on the graphics driver."""
    guest = guests.paint(tmp_path, "shell", device="VGA", via=request.param)
    words = [w.replace("vt.global_cursor_default=0", "") for w in guest.arguments]
    with (
        kju.launch(args=words, name=f"shell-{request.param}") as machine,
        guests.Serial(guest) as serial,
    ):
        serial.wait("^kju: ready", HANG)
        yield machine


def test_text_wait_works_beside_a_blinking_cursor(shell: kju.Machine, tmp_path: Path) -> None:
    screen = shell.screen
    screen.wait_text("kju$", timeout=HANG)
    mark = screen.mark
    for _ in range(4):  # the cursor blinks
        mark = screen.wait_change(timeout=HANG).mark
    assert screen.wait_stable(1.5, timeout=HANG).version >= mark.version

    environment = {**os.environ, "PYTHONPATH": str(Path(kju.__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), shell.name, "kju$", "echo 'is it' $((6*7))?"],
        capture_output=True,
        text=True,
        timeout=HANG,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\nis it 42?\n" in done.stdout

    text = screen.read_text()
    assert text.reader == "glyphs"
    with pytest.raises(ScreenTimeoutError, match="is it 42") as caught:
        screen.wait_text("is it 43?", timeout=0.3)
    assert caught.value.text is not None and "is it 42?" in caught.value.text


async def test_grubs_menu_is_found_by_text_and_by_image(tmp_path: Path) -> None:
    """Recognise a font that is not a console's, and find a needle again after it was hidden."""

    async with await kju.aio.launch(args=guests.grub(), name="grub") as machine:
        screen = machine.screen
        entry = (await screen.wait_text("Another one", timeout=HANG)).rect
        await screen.wait_stable(0.5, timeout=HANG)
        assert (await screen.read_text()).reader == "tesseract"
        around = kju.Rect(entry.x - 4, entry.y - 2, entry.width + 8, entry.height + 4)
        resting = Needle.cut(await screen.frame(), around)
        assert (await screen.wait_image(resting, timeout=HANG)).score == 1.0
        mark = screen.mark
        await machine.keyboard.chord("down", "down")
        await screen.wait_change(around, since=mark, timeout=HANG)
        await screen.wait_stable(0.5, timeout=HANG)
        selected = Needle.cut(await screen.frame(), around)
        assert await screen.find_image(resting) is None
        await machine.keyboard.chord("up")
        match = await screen.wait_image([selected, resting], around, timeout=HANG)
        path = tmp_path / "entry.png"
        resting.save(path)
        match = await screen.wait_image(path, timeout=HANG)
        assert match.rect == around

        # The bar hides the letters of its own entry from Tesseract, so this is another one.
        locator = screen.text("Nothing at all")
        await kju.aio.expect(locator.above(screen.text("Reset"))).to_be_visible(timeout=HANG)
        answer = await machine.act(Chord("down"), first=HANG, limit=HANG, region=around)
        assert answer.changed and any(around.intersection(rect) for rect in answer.rects)
        with pytest.raises(ExpectationError, match="most similar: 'Nothing at all"):
            await kju.aio.expect(screen.text("Nothing et al")).to_be_visible(timeout=1)
