"""Scripts that `kju codegen` records: a second guest reports the same after them as the first."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import x_guest, xservers
from support.wait import until

import kju
from kju.codegen.forms import STYLES, Style
from kju.codegen.recorder import Recorder
from kju.errors import FileError, MachineNotFoundError, UsageError

pytestmark = pytest.mark.usefixtures("runtime_folder")
pytest.importorskip("tesserocr")
pytest.importorskip("PySide6")
#: A bound on a hang.
HANG = 300


@pytest.fixture(autouse=True)
def programs() -> None:
    xservers.need("Xvfb", "xdotool", "xwd")


class Person:
    """Uses a form with a pointer that moves before it clicks, and looks at what happens."""

    def __init__(self, form: x_guest.Form, machine: kju.Machine, recorder: Recorder) -> None:
        self.form, self.machine, self.recorder = form, machine, recorder

    def does(self, action: Callable[[], object], said: str) -> None:
        """Do something, and wait until the form has reported it and the recorder has seen it."""
        action()
        self.form.until_said(said)
        self.looks()

    def clicks(self, x: int, y: int, said: str = "", **how: object) -> None:
        pointer = self.machine.pointer
        pointer.move(x, y + 150)
        pointer.move(x, y)
        self.does(lambda: pointer.click(x, y, **how), said or "ready")  # type: ignore[arg-type]

    def looks(self) -> None:
        """Wait until the recorder has copied the picture that the display shows."""

        def is_seen() -> bool:
            self.recorder.poll()
            shown = xservers.picture(self.form.display)
            newest = self.recorder._frames._history.newest()
            return newest is not None and np.array_equal(newest.frame[..., :3], shown)

        until(is_seen, "the recorder has copied the screen")


def fill_in(person: Person) -> None:
    """Use the whole form."""
    keyboard, pointer = person.machine.keyboard, person.machine.pointer
    person.looks()
    person.clicks(300, 56)
    person.does(lambda: keyboard.type("Ann"), "field Name: Ann")
    person.clicks(300, 106)
    person.does(lambda: keyboard.type("ann@x.org"), "field Mail: ann@x.org")
    person.clicks(650, 106, "edit Robert")
    person.clicks(155, 166, "save")
    person.clicks(255, 325, "board LeftButton 215 35")
    person.clicks(315, 335, "board RightButton 275 45", button="right")
    person.clicks(375, 345, "double LeftButton", count=2)
    pointer.move(90, 332)
    pointer.press("left")
    pointer.move(250, 391)
    pointer.move(410, 450)
    person.does(lambda: pointer.release("left"), "dropped 370 160")
    person.does(lambda: pointer.wheel(2), "wheel -120")


@pytest.mark.parametrize("style", STYLES)
def test_a_recorded_form_is_filled_in_again(
    tmp_path: Path, style: Style, state_folder: Path
) -> None:
    script = tmp_path / "test_script.py"
    lines: list[str] = []
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with x_guest.form(first) as form, kju.attach("form") as machine:
        recorder = Recorder("form", lines.extend, output=script, style=style)
        try:
            fill_in(Person(form, machine, recorder))
        finally:
            recorder.finish()
        expected = form.said()
    assert 'screen.text("Name:").right_of(188).fill("Ann", select=None)' in lines
    source = script.read_text()
    assert "right_of(188).click()" not in source, "the text's line replaces the click's"
    assert 'screen.text("Edit").right_of(screen.text("Robert")).click()' in lines
    assert 'screen.text("Save").click()' in lines
    assert 'kju.expect(screen.text("Everything has been saved")).to_be_visible()' in lines
    assert any(line.endswith(".double_click()") and "image-" in line for line in lines)
    assert any(".drag_to(" in line or ".drag(" in line for line in lines)
    assert script.stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "test_script-images").glob("image-*.png"))
    pytest_words = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if style == "pytest" else []
    with x_guest.form(second) as form:
        command = [sys.executable, *pytest_words, str(script)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=HANG, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, "\n".join((script.read_text(), done.stdout, done.stderr))
        until(lambda: form.said() == expected, f"{form.said()} is {expected}")


def test_a_menu_that_opens_under_the_pointer_is_used_again(
    tmp_path: Path, state_folder: Path
) -> None:
    script, lines = tmp_path / "menu.py", list[str]()
    with x_guest.form(tmp_path, "--menu") as form, kju.attach("form") as machine:
        recorder = Recorder("form", lines.extend, output=script)
        person = Person(form, machine, recorder)
        try:
            person.looks()
            machine.pointer.move(300, 400)
            person.does(lambda: machine.pointer.move(520, 166), "menu")
            until(lambda: (recorder.poll(), not recorder._reader._moved)[1], "the pointer rests")
            person.does(lambda: machine.pointer.click(660, 206), "archive")
        finally:
            recorder.finish()
    assert lines[:2] == [
        'screen.text("More options").hover()', 'screen.text("Archive").click()',
    ]  # fmt: skip
    with x_guest.form(tmp_path, "--menu") as form:
        words = [sys.executable, str(script)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=HANG, check=False)
        assert done.returncode == 0, "\n".join((script.read_text(), done.stderr))
        form.until_said("archive")


def test_the_command_shows_each_step_and_prints_the_script(tmp_path: Path) -> None:
    with x_guest.form(tmp_path) as form, kju.attach("form") as machine:
        command = [sys.executable, "-m", "kju.cli", "codegen", "form"]
        shown = tmp_path / "shown"
        with (
            shown.open("w") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=tmp_path
            ) as child,
        ):
            until(lambda: "recording form" in shown.read_text(), "it records")
            machine.pointer.click(200, 166)
            until(lambda: ".click()" in shown.read_text(), "the click is shown")
            form.until_said("save")
            machine.keyboard.type("x")
            child.send_signal(signal.SIGINT)
            source, _ = child.communicate(timeout=HANG)
        assert child.returncode == 0, shown.read_text()
    assert 'screen.text("Save").click()' in source
    assert 'screen.keyboard.type("x")' in source, "the last step was not idle yet"
    compile(source, "script", "exec")
    assert not list(tmp_path.glob("*-images"))


def test_a_recording_ends_with_its_machine(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    with x_guest.form(tmp_path) as form, kju.attach("form") as machine:
        recorder = Recorder("form", lambda lines: None, output=script)
        machine.keyboard.type("x\n")
        form.until_said("field Name: x")
        recorder.poll()
    until(lambda: recorder.end_reason is not None, "the end is known")
    recorder.finish()
    assert 'screen.keyboard.type("x\\n")' in script.read_text()


def test_wrong_arguments_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    with pytest.raises(MachineNotFoundError):
        Recorder("none", print, output=script)
    with x_guest.form(tmp_path):
        with pytest.raises(UsageError, match="console 3"):
            Recorder("form", print, output=script, console=3)
        with pytest.raises(UsageError, match="no keyboard layout is named 'xx'"):
            Recorder("form", print, output=script, layout="xx")
        assert not script.exists()
        script.write_text("mine")
        with pytest.raises(FileError, match="is not replaced"):
            Recorder("form", print, output=script)
        assert script.read_text() == "mine"
        with pytest.raises(FileError):
            Recorder("form", print, output=tmp_path / "missing" / "script.py")
