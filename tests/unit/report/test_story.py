from kju.keys import US, held_steps, number, parse_chord, steps
from kju.protocol.input_log import Input
from kju.protocol.values import Button, By, Finger, To, TurnWheel
from kju.report.story import described


def told(*entries):
    return [(done.kind, done.words) for done in described(entries)]


def typed(text, time=0.0):
    return [Input(time, keys=group) for group in held_steps(US.strokes(text), 8)]


def chord(text, time=0.0):
    return Input(time, keys=steps([parse_chord(text)]))


def test_a_text_is_one_line_and_its_end_a_key():
    assert told(*typed("Root: <b>\n")) == [("text", "Root: <b>"), ("keys", "ret")]


def test_letters_are_decoded_with_the_logged_caps_lock():
    strokes = US.under_caps_lock(US.strokes("Abc1!"))
    entries = [Input(0, keys=group, caps_lock=True) for group in held_steps(strokes, 8)]
    assert told(*entries) == [("text", "Abc1!")]
    off = [Input(0, keys=entry.keys) for entry in entries]
    assert told(*off) == [("text", "aBC1!")]


def test_chords_are_named():
    assert told(chord("ctrl-alt-f2")) == [("keys", "ctrl-alt-f2")]
    assert told(chord("shift-a")) == [("text", "A")]
    assert told(chord("ctrl-shift-a")) == [("keys", "ctrl-shift-a")]
    assert told(chord("shift")) == [("keys", "shift")]


def test_the_same_key_again_is_counted():
    (done,) = described([chord("down", n / 10) for n in range(5)])
    assert (done.words, done.times, done.time, done.ended) == ("down", 5, 0.0, 0.4)


def test_held_key_is_one_event():
    down = (number("left"), True)
    assert told(Input(0, keys=[down, down, down])) == [("keys", "left")]


def test_pause_splits_a_text():
    assert told(*typed("ab"), *typed("cd", 9.0)) == [("text", "ab"), ("text", "cd")]


def test_an_unknown_key_has_its_number():
    assert told(Input(0, keys=[(0xFE, True)])) == [("keys", "key 0xfe")]


def test_clicks_have_their_positions():
    click = [To(30, 40), Button(0, True), Button(0, False)]
    (done,) = described([Input(1, pointer=[action]) for action in click + click[1:]])
    assert (done.words, done.places, done.times) == ("left button at 30, 40", ((30, 40),), 2)


def test_drag_has_its_start_and_end():
    drag = [To(1, 2), Button(2, True), To(50, 60), Button(2, False)]
    (done,) = described([Input(1, pointer=drag)])
    assert done.words == "right button from 1, 2 to 50, 60"
    assert done.places == ((1, 2), (50, 60))


def test_wheel_moves_and_fingers_are_described():
    touch = [Finger(1, "begin", 5, 6), Finger(1, "end", 5, 6)]
    assert told(
        Input(0, pointer=[By(3, -4)]), Input(5, pointer=[TurnWheel(2)]), Input(9, pointer=touch)
    ) == [
        ("pointer", "moved by 3, -4"),
        ("pointer", "wheel 2, 0"),
        ("pointer", "finger 1 at 5, 6"),
    ]
    assert told(Input(0, pointer=[Button(0, True), Button(0, False)])) == [
        ("pointer", "left button")
    ]


def test_input_of_another_console_is_left_out():
    assert told(Input(0, console=1, keys=[(30, True)])) == []
