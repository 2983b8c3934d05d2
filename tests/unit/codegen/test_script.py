"""Scripts: their statements and their three forms."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import pytest
from support.console_text import console

from kju.acting import Chord, Click, Drag, Move, MoveBy, Touch, Type, Wheel
from kju.codegen.forms import STYLES
from kju.codegen.reading import ReadFrame
from kju.codegen.script import Script, Views
from kju.codegen.steps import ScriptStep
from kju.keys import NUMBERS, parse_chord

LOGIN = console(["kju login:"])
PASSWORD = console(["kju login: root", "Password:"])
SHELL = console(["kju login: root", "Password:", "root@kju:~#"])
EMPTY = console([""])


def step(done: Any, began: float = 0.0, times: int = 1) -> ScriptStep:
    return ScriptStep(began, began, done, began, times)


def views(shown: Any, after: Any = None) -> Views:
    frame = ReadFrame(shown)
    return Views(frame, frame, frame if after is None else ReadFrame(after))


def script(**how: Any) -> Script:
    return Script("demo", lambda needle: "image-1.png", **how)


@pytest.mark.parametrize(
    ("done", "code"),
    [
        (Type("a\n"), 'screen.keyboard.type("a\\n")'),
        (Type("z", "de"), 'screen.keyboard.type("z", layout="de")'),
        (Chord(parse_chord("ctrl-alt-f2")), 'screen.keyboard.chord("ctrl-alt-f2")'),
        (Chord((0xFE,)), "screen.keyboard.chord((254,))"),
        (Click(700, 9), "screen.pointer.click(700, 9)"),
        (Click(), "screen.pointer.click()"),
        (Click(7, 9, "right", 2), 'screen.pointer.click(7, 9, button="right", count=2)'),
        (
            Click(7, 9, keys=("ctrl",)),
            'screen.act(kju.acting.Click(7, 9, button="left", count=1, keys=("ctrl",)))',
        ),
        (Drag(((1, 2), (3, 4), (9, 9))), "screen.pointer.drag((1, 2), (3, 4), (9, 9))"),
        (
            Drag(((1, 2), (30, 4)), "right", ("shift",)),
            'screen.act(kju.acting.Drag([(1, 2), (30, 4)], "right", ("shift",)))',
        ),
        (Wheel(3), "screen.pointer.wheel(3)"),
        (Wheel(-3, 1), "screen.pointer.wheel(-3, 1)"),
        (Wheel(1, keys=("ctrl",)), 'screen.act(kju.acting.Wheel(1, 0, None, None, ("ctrl",)))'),
        (MoveBy(3, -4), "screen.pointer.move_by(3, -4)"),
        (Touch(((1, 2),), 3), "screen.pointer.touch((1, 2), finger=3)"),
    ],
)
def test_each_input_is_a_statement(done: Any, code: str) -> None:
    assert script().add(step(done), views(EMPTY)) == [code]
    ast.parse(code)


def test_the_wheel_turns_where_the_pointer_was() -> None:
    lines = script().add(step(Wheel(3, 0, 7, 9)), views(EMPTY))
    assert lines == ["screen.pointer.move(7, 9)", "screen.pointer.wheel(3)"]


def test_repeated_chords_are_one_call() -> None:
    down = Chord((NUMBERS["down"],))
    twice = script().add(step(down, times=2), views(EMPTY))
    assert twice == ['screen.keyboard.chord("down", "down")']
    often = script().add(step(down, times=9), views(EMPTY))
    assert often == ['screen.keyboard.chord(*["down"] * 9)']


def test_a_script_waits_for_what_has_appeared_and_reads_passwords() -> None:
    made = script()
    assert made.add(step(Type("root\n"), 1.0), views(LOGIN)) == ['screen.keyboard.type("root\\n")']
    assert made.add(step(Type("secret\n"), 30.0), views(PASSWORD, SHELL)) == [
        'kju.expect(screen.text("Password:")).to_be_visible(timeout=90)',
        'screen.keyboard.type(os.environ["KJU_PASSWORD"] + "\\n")',
    ]
    end = ['kju.expect(screen.text("root@kju:~#")).to_be_visible()']
    assert made.end(ReadFrame(SHELL)) == end
    assert made.end(ReadFrame(EMPTY)) == [], "the end is written once"
    assert "secret" not in made.source("x")
    assert "import os\n" in made.source("x")
    assert any("KJU_PASSWORD" in note for note in made.notes)
    plain = script(passwords=True)
    assert plain.add(step(Type("secret\n")), views(PASSWORD, SHELL)) == [
        'screen.keyboard.type("secret\\n")'
    ]


def test_without_a_text_it_waits_for_a_change_and_stillness() -> None:
    made = script()
    made.add(step(Type("a")), views(EMPTY))
    lines = made.add(step(Type("b"), 1.0), views(console(["### 12:30 ###"] * 20)))
    assert lines[:2] == ["screen.after(mark)", "screen.wait_stable(0.5)"]
    assert '    mark = screen.keyboard.type("a")\n    screen.after(mark)\n' in made.source("x")


def test_a_locator_waits_itself_unless_its_place_was_there_before() -> None:
    first, second = console(["Continue", "one"]), console(["Continue", "Partition disks"])
    made = script()
    click = Click(10, 8)
    assert made.add(step(click), views(first)) == ['screen.text("Continue").click()']
    assert made.add(step(click, 2.0), views(second)) == [
        'kju.expect(screen.text("Partition disks")).to_be_visible()',
        'screen.text("Continue").click()',
    ]
    other = console(["", "", "Finish"])
    assert made.add(step(Click(10, 40), 3.0), views(other)) == ['screen.text("Finish").click()']


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_python(style: Any) -> None:
    made = script(style=style, console=1)
    assert ast.parse(made.source("x")), "without a step"
    made.add(step(Click(600, 300, keys=("ctrl",))), views(LOGIN))
    made.add(step(Type("root\n"), 1.0), views(PASSWORD))
    made.end(ReadFrame(SHELL))
    source = made.source("demo-images")
    ast.parse(source)
    assert "machine.screens[1]" in source
    assert "import kju.acting" in source
    assert ("await screen.keyboard.type(" in source) is (style == "asyncio")
    assert ("def test_demo() -> None:" in source) is (style == "pytest")


def test_texts_of_a_guest_stay_strings() -> None:
    hostile = console(['"); import os; os.abort(); ("'])
    made = script()
    made.add(step(Type("a\n")), views(EMPTY))
    made.add(step(Type('"""\\'), 1.0), views(hostile))
    made.end(ReadFrame(EMPTY))
    names = {
        node.id for node in ast.walk(ast.parse(made.source("x"))) if isinstance(node, ast.Name)
    }
    assert "os" not in names


def test_typed_code_is_not_changed_for_asyncio() -> None:
    made = script(style="asyncio")
    made.add(step(Type("kju.expect(1)\n")), views(EMPTY))
    assert 'type("kju.expect(1)\\n")' in made.source("images")


# ---- Fields and hovering

ALL = Chord(parse_chord("ctrl-a"))
#: The console's text at (10, 8), with a menu below after the pointer has rested on it.
MENU, OPEN = console(["File  Edit"]), console(["File  Edit", "", "Recent", "Quit"])


def added(*steps: tuple[Any, Any], times: Sequence[float] = range(9)) -> list[str]:
    """Return the statements of steps, each with the screen at its begin."""
    made = script()
    for (done, shown), time in zip(steps, times, strict=False):
        made.add(step(done, time), views(shown))
    return [each.code for each in made.statements]


def test_text_typed_over_a_selected_one_fills_the_place() -> None:
    fill = [(Click(10, 8), MENU), (ALL, MENU), (Type("Ann\n"), MENU)]
    assert added(*fill) == ['screen.text("File Edit").fill("Ann\\n")']
    assert added(*fill, (Type("b"), MENU))[1:] == ['screen.keyboard.type("b")']
    made = script()
    assert made.add(step(Click(10, 8)), views(MENU)) == ['screen.text("File Edit").click()']
    made.add(step(ALL), views(MENU))
    shown = ['screen.text("File Edit").fill(os.environ["KJU_PASSWORD"])']
    asks = console(["File  Edit", "Password:"])
    assert made.add(step(Type("secret")), views(asks, MENU)) != shown, "it has opened a dialog"


@pytest.mark.parametrize(
    "steps",
    [
        [(Click(10, 8), MENU), (Type("Ann"), MENU)],
        [(Click(10, 8, "right"), MENU), (ALL, MENU), (Type("Ann"), MENU)],
        [(Click(10, 8), MENU), (ALL, MENU), (Wheel(1), MENU), (Type("Ann"), MENU)],
        [(Click(10, 8), MENU), (ALL, OPEN), (Type("Ann"), OPEN)],
    ],
)
def test_other_texts_after_a_click_are_typed(steps: Any) -> None:
    assert added(*steps)[-1] == 'screen.keyboard.type("Ann")'


def test_pointer_that_opens_what_is_clicked_next_hovers() -> None:
    assert added((Move(10, 8), MENU), (Click(10, 40), OPEN)) == [
        'screen.text("File Edit").hover()', 'screen.text("Recent").click()',
    ]  # fmt: skip
    assert added((Move(10, 8), MENU), (Type("r"), OPEN)) == [
        'screen.text("File Edit").hover()', 'kju.expect(screen.text("Quit")).to_be_visible()',
        'screen.keyboard.type("r")',
    ]  # fmt: skip


def test_pointer_in_a_menu_needs_the_rest_that_has_opened_it() -> None:
    more = console(["File  Edit", "", "Recent  demo.txt", "Quit"])
    assert added((Move(10, 8), MENU), (Move(10, 40), OPEN), (Click(100, 40), more)) == [
        'screen.text("File Edit").hover()', 'screen.text("Recent").hover()',
        'screen.text("Recent demo.txt").click()',
    ]  # fmt: skip
    assert added((Move(10, 8), MENU), (Move(10, 56), OPEN), (Click(10, 56), OPEN)) == [
        'screen.text("File Edit").hover()', 'screen.text("Quit").click()',
    ]  # fmt: skip


def test_pointer_without_an_answer_that_is_needed_is_not_recorded() -> None:
    assert added((Move(10, 8), MENU), (Type("r"), MENU)) == ['screen.keyboard.type("r")']
    assert added((Move(10, 8), MENU), (Move(90, 8), MENU), (Click(10, 8), MENU)) == [
        'screen.text("File Edit").click()'
    ]
    clicked = added((Move(10, 8), MENU), (Click(10, 8), OPEN))
    assert clicked == ['screen.text("File Edit").click()'], "a hint for the place of the click"


def test_pointer_that_rests_at_the_end_hovers() -> None:
    made = script()
    assert made.add(step(Move(10, 8)), views(MENU)) == []
    assert made.end(ReadFrame(OPEN)) == [
        'screen.text("File Edit").hover()', 'kju.expect(screen.text("Quit")).to_be_visible()',
    ]  # fmt: skip
