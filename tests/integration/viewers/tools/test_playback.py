"""Times and input of a recording, and the thread that decodes its pictures."""

from __future__ import annotations

import queue
from pathlib import Path

import numpy as np
import pytest
from support.wait import until

from kju.protocol.input_log import Input, encode
from kju.report.story import StoryEvent
from kju.viewers.tools.playback import (
    PictureLoader,
    Timeline,
    VideoReader,
    event_words,
    precise_clock,
)
from kju.viewers.tools.recording import input_path
from kju.viewers.tools.video import VideoFile

pytest.importorskip("av", reason="PyAV is missing: tools/setup desktop")

KEY_A = 0x1E


def make_video(path: Path, frames: int = 5) -> Path:
    with VideoFile(path, 64, 48) as video:
        for number in range(frames):
            video.add(np.full((48, 64, 4), 40 * number, np.uint8), number)
        video.close(frames)
    return path


def test_frame_and_input_of_a_moment():
    events = tuple(StoryEvent(at, at, "keys", "f2") for at in (1.0, 2.0))
    line = Timeline((0.0, 1.0, 5.0), 9.0, events)
    assert [line.frame_at(at) for at in (0.0, 0.9, 1.0, 4.9, 5.0, 9.0, -1.0)] == [
        0, 0, 1, 1, 2, 2, 0,
    ]  # fmt: skip
    assert [line.event_at(at) for at in (0.5, 1.0, 1.5, 3.0)] == [None, 0, 0, 1]
    assert (line.step(0, -1), line.step(1, 1), line.step(2, 1)) == (0, 2, 2)


def test_words_of_an_input():
    assert event_words(StoryEvent(65.34, 66, "text", "root")) == '01:05.3   types "root"'
    assert event_words(StoryEvent(0, 0, "keys", "tab", times=3)) == "00:00.0   tab (3 times)"
    assert precise_clock(3599.99) == "59:59.9"


def test_input_beside_the_video_is_read(tmp_path: Path):
    path = make_video(tmp_path / "v.mp4")
    entry = Input(1.5, keys=[(KEY_A, True), (KEY_A, False)])
    input_path(path).write_bytes(encode(entry))
    with VideoReader(path) as reader:
        (event,) = reader.timeline.events
        assert (event.time, event.kind, event.words) == (1.5, "text", "a")


@pytest.mark.parametrize("content", [b"{}\n{", b"\xff\n", b'{"time": "x"}\n'])
def test_broken_input_log_is_a_note(tmp_path: Path, content: bytes):
    path = make_video(tmp_path / "v.mp4", 1)
    input_path(path).write_bytes(content)
    with VideoReader(path) as reader:
        assert not reader.timeline.events
        assert "line" in reader.timeline.note


def test_video_without_input_says_so(tmp_path: Path):
    with VideoReader(make_video(tmp_path / "v.mp4", 1)) as reader:
        assert "no input was recorded" in reader.timeline.note


def test_loader_posts_the_newest_request(tmp_path: Path):
    calls: queue.SimpleQueue[object] = queue.SimpleQueue()
    opened, pictures, errors = [], [], []
    loader = PictureLoader(
        make_video(tmp_path / "v.mp4"), calls.put, opened.append,
        lambda index, pixels: pictures.append((index, int(pixels[..., :3].mean()))),
        errors.append,
    )  # fmt: skip

    def run(condition) -> None:
        def turn() -> bool:
            while not calls.empty():
                calls.get()()
            return condition()

        until(turn)

    run(lambda: opened)
    for index in (4, 0, 3):
        loader.want(index)
    run(lambda: pictures and pictures[-1][0] == 3)
    assert pictures[-1][1] == pytest.approx(120, abs=6)
    loader.close()
    assert not errors


def test_loader_says_why_a_file_cannot_be_read(tmp_path: Path):
    calls: queue.SimpleQueue[object] = queue.SimpleQueue()
    errors: list[str] = []
    (tmp_path / "v.mp4").write_bytes(b"x")
    loader = PictureLoader(
        tmp_path / "v.mp4", calls.put, lambda _: None, lambda *_: None, errors.append
    )
    until(lambda: not calls.empty())
    calls.get()()
    loader.close()
    assert "v.mp4" in errors[0]
