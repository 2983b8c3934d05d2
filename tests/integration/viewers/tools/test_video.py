"""Video files, written and read with PyAV."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import numpy as np
import pytest

from kju.errors import FileError, FormatError, UsageError
from kju.files import growing
from kju.viewers.tools.playback import VideoReader
from kju.viewers.tools.video import KINDS, VideoFile, fitted, video_kind

av = pytest.importorskip("av", reason="PyAV is missing: tools/setup desktop")

WIDTH, HEIGHT = 96, 64
TIMES = (0.0, 0.5, 0.6, 4.0)


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return a picture in one colour, which no other number has; B G R X."""
    made = np.zeros((height, width, 4), np.uint8)
    made[..., :3] = (60 * number % 256, 200 - 40 * number, 20 + 50 * number)
    return made


def near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one[..., :3].astype(int) - other[..., :3]).mean() < 8)


@pytest.mark.parametrize("suffix", list(KINDS))
def test_frames_have_their_times_and_still_parts_last(tmp_path: Path, suffix: str):
    path = tmp_path / f"v{suffix}"
    with VideoFile(path, WIDTH, HEIGHT) as video:
        for number, seconds in enumerate(TIMES):
            video.add(picture(number), seconds)
        video.close(9.0)
    assert video.frames == len(TIMES) + 1
    with VideoReader(path) as reader:
        assert reader.timeline.times == pytest.approx((*TIMES, 9.0), abs=0.02)
        assert reader.timeline.seconds == pytest.approx(9.0, abs=0.02)
        # Backwards, forwards and twice: seeking decodes from a key frame.
        for number in (3, 1, 2, 2, 0, 3):
            assert near(reader.picture(number), picture(number)), f"frame {number}"
    with av.open(str(path)) as container:
        assert float(container.duration) / 1e6 == pytest.approx(9.0, abs=0.15)


def test_frame_at_the_time_of_another_is_dropped(tmp_path: Path):
    with VideoFile(tmp_path / "v.mp4", WIDTH, HEIGHT) as video:
        video.add(picture(0), 1.0)
        video.add(picture(1), 1.0)
        assert video.frames == 1
        video.close(1.0)
    assert video.frames == 1


def test_odd_sizes_are_padded_to_even(tmp_path: Path):
    with VideoFile(tmp_path / "v.mp4", 95, 63) as video:
        video.add(picture(1, 95, 63), 0.0)
        video.close(1.0)
    with VideoReader(tmp_path / "v.mp4") as reader:
        assert reader.picture(0).shape == (64, 96, 4)


def test_later_modes_are_drawn_into_the_first_size():
    small = fitted(picture(2, 48, 32), (WIDTH, HEIGHT))
    assert near(small[16:48, 24:72], picture(2, 48, 32))
    assert not small[:16].any() and not small[:, :24].any()
    large = fitted(picture(2, 2 * WIDTH, HEIGHT), (WIDTH, HEIGHT))
    assert near(large[16:48], picture(2, WIDTH, 32))
    assert not large[:16].any() and not large[48:].any()
    grey = fitted(np.full((HEIGHT, WIDTH), 7, np.uint8), (WIDTH, HEIGHT))
    assert (grey[..., :3] == 7).all()


def test_gif_keeps_the_colours_of_its_frames(tmp_path: Path):
    shades = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    shades[..., 2] = np.arange(WIDTH) * 2
    with VideoFile(tmp_path / "v.gif", WIDTH, HEIGHT) as video:
        video.add(shades, 0.0)
        video.close(0.5)
    with VideoReader(tmp_path / "v.gif") as reader:
        assert np.abs(reader.picture(0)[..., :3].astype(int) - shades[..., :3]).max() < 8


def limit_writes(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Have every growing file fail as on a full disk beyond *room* bytes."""
    write = growing.write_fully

    def limited(descriptor: int, data: bytes) -> None:
        left = room - os.fstat(descriptor).st_size
        write(descriptor, bytes(data)[: max(0, left)])
        if left < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(growing, "write_fully", limited)


@pytest.mark.parametrize("room", [0, 20, 200, 1000, 4000])
@pytest.mark.parametrize("suffix", list(KINDS))
def test_disk_without_room_for_the_header_is_an_error_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, room: int
):
    limit_writes(monkeypatch, room)
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    video = VideoFile(tmp_path / f"v{suffix}", WIDTH, HEIGHT)
    for number in range(3):
        with contextlib.suppress(FileError):  # a format may buffer its first frames
            video.add(noise, number / 10)
    with pytest.raises(FileError, match="No space left"):
        video.close(1.0)


@pytest.mark.parametrize("suffix", list(KINDS))
def test_full_disk_is_said_and_the_file_plays_up_to_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    path = tmp_path / f"v{suffix}"
    room = 40_000
    limit_writes(monkeypatch, room)
    random = np.random.default_rng(1)
    written = 0
    with VideoFile(path, WIDTH, HEIGHT) as video:
        with pytest.raises(FileError, match="No space left"):
            for number in range(200):
                noise = random.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
                video.add(noise, number / 10)
                written = number
        with pytest.raises(FileError, match="No space left"):
            video.close(30.0)
    assert path.stat().st_size <= room
    with VideoReader(path) as reader:
        assert len(reader.timeline.times) > 1
        last = len(reader.timeline.times) - 2
        assert reader.picture(last).shape == (HEIGHT, WIDTH, 4)
    assert written > 1


def test_file_of_a_killed_process_plays(tmp_path: Path):
    with VideoFile(tmp_path / "v.mp4", WIDTH, HEIGHT) as video:
        for number in range(40):
            video.add(picture(number % 5), number / 10)
        at_kill = (tmp_path / "v.mp4").read_bytes()
        video.close(4.0)
    (tmp_path / "killed.mp4").write_bytes(at_kill)
    with VideoReader(tmp_path / "killed.mp4") as reader:
        assert len(reader.timeline.times) > 30
        assert near(reader.picture(4), picture(4))


def test_existing_file_is_not_replaced(tmp_path: Path):
    (tmp_path / "v.mp4").write_bytes(b"mine")
    with pytest.raises(FileError, match="choose another name"):
        VideoFile(tmp_path / "v.mp4", WIDTH, HEIGHT)
    assert (tmp_path / "v.mp4").read_bytes() == b"mine"


def test_unknown_ending_is_an_error():
    with pytest.raises(UsageError, match=r"ends in \.mp4, \.webm, \.gif"):
        video_kind("screen.avi")


@pytest.mark.parametrize("content", [b"", b"not a video" * 100, b"\0" * 5000])
def test_other_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(FormatError, match=r"v\.mp4"):
        VideoReader(tmp_path / "v.mp4")


def test_missing_file_and_folder_are_errors(tmp_path: Path):
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises((FileError, FormatError)):
            VideoReader(path)
