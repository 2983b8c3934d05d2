"""`kju watch` in a terminal: its picture, and the terminal's state at every exit."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from support.pattern_source import PatternSource, picture
from support.ptys import InTerminal
from support.vt import Terminal

from kju.memory import SurfaceProducer
from kju.surface import State
from kju.viewers.geometry import Scaling, place
from kju.viewers.terminal.canvas import Canvas
from kju.viewers.terminal.paint import Ability, Colours

KJU = (sys.executable, "-m", "kju.cli")
TRUE = Ability(Colours.TRUE)


@pytest.fixture
def pattern(tmp_path):
    with SurfaceProducer.create(tmp_path / "screen", capacity=1 << 20) as producer:
        source = PatternSource(producer, size=(320, 200))
        source.start()
        yield source


@pytest.fixture
def viewer(pattern):
    running = []

    def start(*more, columns=80, rows=25, before=(), **environment):
        command = (*before, *KJU, "watch", pattern.producer.address, *more)
        running.append(InTerminal(command, columns, rows, **environment))
        return running[-1]

    yield start
    for terminal in running:
        terminal.close()


def expected(image, columns, rows, ability=TRUE):
    """Return a terminal with the picture, drawn directly."""
    canvas = Canvas(ability, columns, rows)
    canvas.place(place(image.shape[1::-1], canvas.size, Scaling.SHRINK, (0, 0)))
    canvas.draw(None, lambda rect: image[rect.y : rect.bottom, rect.x : rect.right])
    screen = Terminal(columns, rows)
    screen.feed(canvas.paint(""))
    return screen


def shows(terminal, image, ability=TRUE):
    screen = terminal.screen
    wanted = expected(image, screen.columns, screen.rows, ability)
    rows = screen.rows - 1

    def is_shown():
        if ability.colours == Colours.NONE:
            return screen.text()[:rows] == wanted.text()[:rows]
        try:
            return screen.dots(rows) == wanted.dots(rows)
        except KeyError:
            return False  # text from before the viewer

    return is_shown


def frame(pattern):
    return picture(pattern.size, pattern.frame)


def test_terminal_shows_the_surface_and_its_changes(pattern, viewer):
    terminal = viewer()
    terminal.until(shows(terminal, frame(pattern)), "the first picture")
    written = terminal.screen.written
    pattern.step()
    terminal.until(shows(terminal, frame(pattern)), "the second picture")
    # A box that moves a little, and the status line: few of the 2000 cells.
    assert terminal.screen.written - written < 700
    terminal.until(lambda: "version 2" in terminal.screen.text()[-1], "the status")
    assert "320x200" in terminal.screen.text()[-1]
    terminal.type(b"q")
    assert terminal.ended() == 0
    terminal.assert_given_back()


def test_resize_of_the_terminal_redraws_the_picture(pattern, viewer):
    terminal = viewer()
    terminal.until(shows(terminal, frame(pattern)), "the first picture")
    terminal.resize(50, 40, Terminal(50, 40))
    terminal.until(shows(terminal, frame(pattern)), "the picture in its new size")


def test_mode_change_redraws_the_picture(pattern, viewer):
    terminal = viewer()
    terminal.until(shows(terminal, frame(pattern)), "the first picture")
    other = PatternSource(pattern.producer, size=(128, 256))
    other.start()
    terminal.until(shows(terminal, frame(other)), "the picture of the new mode")


@pytest.mark.parametrize(
    ("environment", "ability"),
    [
        ({"COLORTERM": ""}, Ability(Colours.MANY)),
        ({"TERM": "vt100", "COLORTERM": ""}, Ability(Colours.NONE)),
        ({"PYTHONIOENCODING": "ascii"}, Ability(Colours.TRUE, blocks=False)),
    ],
)
def test_terminals_with_fewer_colours_show_the_picture(pattern, viewer, environment, ability):
    terminal = viewer(**environment)
    terminal.until(shows(terminal, frame(pattern), ability), "the picture")


@pytest.mark.parametrize(
    ("way", "status"),
    [("interrupt", 130), ("terminate", 143), ("hang up", 129), ("closed", 8), ("cut", 7)],
)
def test_every_exit_restores_the_terminal(pattern, viewer, way, status):
    terminal = viewer()
    terminal.until(shows(terminal, frame(pattern)), "the picture")
    if way == "interrupt":
        terminal.type(b"\x03")
    elif way == "terminate":
        terminal.process.send_signal(signal.SIGTERM)
    elif way == "hang up":
        terminal.process.send_signal(signal.SIGHUP)
    elif way == "cut":
        os.truncate(pattern.producer.address, 0)
    else:
        pattern.producer.set_state(State.CLOSED)
    assert terminal.ended() == status
    terminal.assert_given_back()


def test_several_signals_at_once_restore_the_terminal(pattern, viewer):
    for first, second in ((signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)):
        terminal = viewer()
        terminal.until(shows(terminal, frame(pattern)), "the picture")
        for number in (first, second, second, first):
            terminal.process.send_signal(number)
        # After the terminal is restored, a signal may end the process.
        assert terminal.ended() in (130, 143, -signal.SIGINT, -signal.SIGTERM)
        terminal.assert_given_back()


def test_blocked_output_does_not_delay_the_exit(pattern, viewer):
    terminal = viewer()
    terminal.until(shows(terminal, frame(pattern)), "the picture")
    terminal.type(b"\x13")
    pattern.step()
    terminal.type(b"\x03")
    assert terminal.ended() == 130
    terminal.assert_given_back()


def test_follow_shows_the_next_producer(pattern, viewer, tmp_path):
    terminal = viewer("--follow")
    terminal.until(shows(terminal, frame(pattern)), "the picture")
    pattern.producer.close()
    terminal.until(lambda: "has closed" in terminal.screen.text()[-1], "the state")
    with SurfaceProducer.create(tmp_path / "screen", capacity=1 << 20) as producer:
        again = PatternSource(producer, size=(128, 128))
        again.start()
        terminal.until(shows(terminal, frame(again)), "the picture of the next one")
    terminal.type(b"q")
    assert terminal.ended() == 0


def test_killed_producer_is_reported(viewer, tmp_path):
    code = """
import sys
from kju.memory import SurfaceProducer
producer = SurfaceProducer.create(sys.argv[1], capacity=1 << 20)
producer.set_mode(64, 64)
print(flush=True)
sys.stdin.read()
"""
    path = tmp_path / "other"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, path], **pipes) as producer:
        producer.stdout.readline()
        short = InTerminal((*KJU, "watch", path), 80, 25)
        patient = InTerminal((*KJU, "watch", path, "--follow"), 80, 25)
        try:
            short.until(lambda: "64x64" in short.screen.text()[-1], "the first status")
            patient.until(lambda: "64x64" in patient.screen.text()[-1], "the status")
            producer.kill()
            patient.until(lambda: "has died" in patient.screen.text()[-1], "the end")
            assert short.ended() == 8
            assert "has died" in "".join(short.screen.text())
        finally:
            short.close()
            patient.close()


# The part of a shell that Ctrl+Z needs: it continues the stopped viewer.
SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = subprocess.Popen(sys.argv[1:], process_group=0)
while True:
    os.tcsetpgrp(0, child.pid)
    os.killpg(child.pid, signal.SIGCONT)
    status = os.waitpid(child.pid, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    os.tcsetpgrp(0, os.getpgrp())
    print("stopped", flush=True)
    sys.stdin.readline()
"""


def test_viewer_continues_after_ctrl_z(pattern, viewer):
    terminal = viewer(before=(sys.executable, "-c", SHELL))
    terminal.until(shows(terminal, frame(pattern)), "the picture")
    terminal.type(b"\x1a")
    terminal.until(lambda: "stopped" in "".join(terminal.screen.text()), "the stop")
    terminal.assert_given_back()
    pattern.step()
    terminal.type(b"\n")
    terminal.until(shows(terminal, frame(pattern)), "the picture after it")
    terminal.type(b"q")
    assert terminal.ended() == 0
    terminal.assert_given_back()


def test_pipe_receives_lines(pattern):
    command = (*KJU, "watch", pattern.producer.address, "--seconds", "2")
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2
    assert "320x200" in lines[0] and "version 1" in lines[0] and "mean #" in lines[0]


def test_closed_pipe_ends_the_viewer(pattern):
    with subprocess.Popen(
        (*KJU, "watch", pattern.producer.address, "--json"), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline().startswith(b'{"name"')
        process.stdout.close()
        assert process.wait(30) == 0


def test_dumb_terminal_receives_lines(pattern, viewer):
    terminal = viewer(TERM="dumb")
    terminal.until(lambda: "version 1" in terminal.screen.text()[0], "a line")
    terminal.type(b"\x03")
    assert terminal.ended() == 130


def test_screenshot_is_the_picture(pattern, tmp_path):
    from PIL import Image

    path = tmp_path / "it.png"
    subprocess.run((*KJU, "screenshot", pattern.producer.address, path), check=True)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), frame(pattern)[..., 2::-1])
