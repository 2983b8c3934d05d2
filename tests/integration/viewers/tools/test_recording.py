"""Recording of a host's screen, with a real control socket and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fake_host import FakeHost, fake_host
from support.wait import until

from kju.errors import UsageError
from kju.protocol.input_log import Input, decode, encode
from kju.surface.geometry import Rect
from kju.viewers.tools.playback import VideoReader
from kju.viewers.tools.recording import Recorded, VideoRecorder, clock, input_path

pytest.importorskip("av", reason="PyAV is missing: tools/setup desktop")

KEY_A = 0x1E


@pytest.fixture
def host(runtime_folder: None) -> Iterator[FakeHost]:
    with fake_host() as host:
        host.machine.info = {"name": "fake", "started": time.time(), "consoles": []}
        yield host


class Recording:
    """A recording of the fake host."""

    def __init__(self, path: Path, **options: bool) -> None:
        self.ends: list[Recorded] = []
        self.recorder = VideoRecorder("fake", 0, path, self.ends.append, **options)

    def begun(self) -> None:
        until(lambda: self.recorder.seconds > 0 or self.ends, what="the first frame")

    def end(self) -> Recorded:
        self.recorder.close()
        assert self.recorder.wait(60)
        (end,) = self.ends
        return end


def paint(host: FakeHost, level: int) -> None:
    producer = host.machine.producer
    width, height = producer.mode.width, producer.mode.height
    pixels = np.full((height, width, 4), level, np.uint8)
    producer.draw(Rect(0, 0, width, height), pixels.tobytes(), stride=width * 4)


def test_changes_are_frames_and_a_still_screen_adds_none(host: FakeHost, tmp_path: Path):
    paint(host, 0)
    one = Recording(tmp_path / "v.mp4")
    one.begun()
    frames = lambda: one.recorder._file.frames  # noqa: E731
    for number, level in enumerate((80, 160, 240), 2):
        paint(host, level)
        until(lambda n=number: frames() == n, what=f"frame {number}")
    begin = one.recorder.seconds
    # The recorder looks for the machine's end four times a second; none of these is a frame.
    until(lambda: one.recorder.seconds > begin + 0.6)
    assert frames() == 4
    end = one.end()
    assert not end.error and end.playable and end.frames == 5
    with VideoReader(tmp_path / "v.mp4") as reader:
        levels = [int(reader.picture(index)[..., :3].mean()) for index in range(5)]
        assert levels == pytest.approx([0, 80, 160, 240, 240], abs=6)
        assert reader.timeline.seconds == pytest.approx(end.seconds, abs=0.05)
        assert reader.timeline.times[-1] - reader.timeline.times[-2] > 0.5


def test_mode_change_is_drawn_into_the_first_size(host: FakeHost, tmp_path: Path):
    paint(host, 100)
    one = Recording(tmp_path / "v.mp4")
    one.begun()
    host.machine.producer.set_mode(128, 48)
    paint(host, 200)
    until(lambda: one.recorder._file.frames >= 2)
    one.end()
    with VideoReader(tmp_path / "v.mp4") as reader:
        last = reader.picture(len(reader.timeline.times) - 1)[..., 0]
    assert last.shape == (48, 64)
    assert last[24].mean() == pytest.approx(200, abs=8)
    assert last[2].mean() < 16


def test_input_is_written_beside_the_video_for_this_user_only(host: FakeHost, tmp_path: Path):
    paint(host, 1)
    log = host.machine.claim.paths.input_log
    log.write_bytes(encode(Input(0.1, keys=[(KEY_A, True)])))
    one = Recording(tmp_path / "v.mp4")
    one.begun()
    with log.open("ab") as file:
        file.write(encode(Input(0.2, keys=[(KEY_A, True), (KEY_A, False)])))
        file.write(encode(Input(0.3, console=1, keys=[(KEY_A, True)])))
    path = input_path(tmp_path / "v.mp4")
    until(lambda: path.exists() and path.stat().st_size > 0)
    end = one.end()
    (entry,) = decode(path.read_bytes())
    assert entry.keys == [(KEY_A, True), (KEY_A, False)]
    assert 0 <= entry.time <= end.seconds
    assert path.stat().st_mode & 0o777 == 0o600
    with VideoReader(tmp_path / "v.mp4") as reader:
        assert [event.words for event in reader.timeline.events] == ["a"]


def test_recording_without_input_leaves_no_log(host: FakeHost, tmp_path: Path):
    paint(host, 1)
    for name, options in (("none.mp4", {}), ("off.mp4", {"with_input": False})):
        one = Recording(tmp_path / name, **options)
        one.begun()
        one.end()
    assert not list(tmp_path.glob("*.jsonl"))


def test_end_of_the_machine_finishes_the_file(runtime_folder: None, tmp_path: Path):
    with fake_host() as host:
        host.machine.info = {"name": "fake", "started": time.time(), "consoles": []}
        paint(host, 50)
        one = Recording(tmp_path / "v.webm")
        one.begun()
    assert one.recorder.wait(60)
    (end,) = one.ends
    assert end.playable and end.error
    assert "saved up to there" in end.words
    with VideoReader(tmp_path / "v.webm") as reader:
        assert len(reader.timeline.times) >= 1


def test_machine_that_does_not_run_is_an_error(runtime_folder: None, tmp_path: Path):
    one = Recording(tmp_path / "v.mp4")
    end = one.end()
    assert not end.playable
    assert "nothing was recorded" in end.words and "fake" in end.words
    assert not (tmp_path / "v.mp4").exists()


def test_existing_file_ends_the_recording(host: FakeHost, tmp_path: Path):
    paint(host, 1)
    (tmp_path / "v.mp4").write_bytes(b"mine")
    one = Recording(tmp_path / "v.mp4")
    assert one.recorder.wait(60)
    assert "choose another name" in one.ends[0].words
    assert (tmp_path / "v.mp4").read_bytes() == b"mine"


def test_wrong_ending_is_refused_before_the_thread(tmp_path: Path):
    with pytest.raises(UsageError, match="ends in"):
        VideoRecorder("fake", 0, tmp_path / "v.txt", lambda _: None)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00"), (65.9, "01:05"), (3600, "1:00:00"), (86399, "23:59:59")]
)
def test_clock(seconds: float, text: str):
    assert clock(seconds) == text
