"""Reading of a recording: its frames by time, and the input at each moment.

Any video that PyAV decodes can be read; the input log is beside those of `recording`. All of it
may wait for the disk, so a window reads on a thread (`PictureLoader`).
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ...errors import FileError, FormatError, KjuError, LimitError
from ...files import read_file
from ...protocol.input_log import decode
from ...report.story import StoryEvent, described
from .recording import clock, input_path
from .video import require_recorder

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: Bytes of an input log that is read.
_MAX_LOG_BYTES = 16 << 20
#: Frames of a video: nine hours at 30 a second.
_MAX_FRAMES = 1_000_000
#: Width and height of a video that is decoded.
MAX_SIDE = 16384
_CLOSE_TIMEOUT = 2.0


class Timeline(NamedTuple):
    """The times of a recording.

    Attributes:
        times: Begin of each frame, seconds, ascending.
        seconds: The duration.
        events: The input, in order.
        note: The reason why the input is missing; empty if it is not.
    """

    times: tuple[float, ...]
    seconds: float
    events: tuple[StoryEvent, ...] = ()
    note: str = ""

    def frame_at(self, seconds: float) -> int:
        """Return the index of the frame that is shown at a time."""
        return max(0, bisect_right(self.times, seconds + 1e-6) - 1)

    def event_at(self, seconds: float) -> int | None:
        """Return the index of the newest input at a time; None before the first."""
        index = bisect_right([event.time for event in self.events], seconds + 1e-6) - 1
        return index if index >= 0 else None

    def step(self, index: int, frames: int) -> int:
        """Return the index of another frame, limited to those that exist."""
        return min(max(index + frames, 0), len(self.times) - 1)


def event_words(event: StoryEvent) -> str:
    """Return one line about an input: its time and its description."""
    times = f" ({event.times} times)" if event.times > 1 else ""
    words = f'types "{event.words}"' if event.kind == "text" else event.words
    return f"{precise_clock(event.time)}   {words}{times}"


def precise_clock(seconds: float) -> str:
    """Return a time with tenths of a second: ``01:05.3``."""
    tenths = int(seconds * 10 + 1e-6)
    return f"{clock(tenths // 10)}.{tenths % 10}"


class VideoReader:
    """The frames of a video file.

    Attributes:
        timeline: Its times and its input.

    Raises:
        MissingError: PyAV is not installed.
        FileError: The file cannot be read.
        FormatError: It is not a video.
        LimitError: It has too many or too large frames.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        require_recorder()
        self.path = Path(path)
        self._container = _open(self.path)
        try:
            self._stream: Any = _video_stream(self._container, self.path)
            self._ticks = self._read_ticks()
            self._decoder: Any = None
            self._next = 0  # index of the frame that the decoder yields next
            events, note = _events(self.path)
            base = float(self._stream.time_base)
            times = tuple((tick - self._ticks[0]) * base for tick in self._ticks)
            self.timeline: Timeline = Timeline(times, times[-1], events, note)
        except BaseException:
            self._container.close()
            raise

    def picture(self, index: int) -> Pixels:
        """Decode one frame: ``(height, width, 4)``, B G R X.

        Raises:
            FormatError: The frame is damaged.
        """
        import av

        try:
            if self._decoder is None or not 0 <= index - self._next <= _NEAR:
                self._seek(index)
            for frame in self._decoder:
                self._next = bisect_right(self._ticks, frame.pts)
                if self._next > index:
                    made: Pixels = frame.to_ndarray(format="bgra")
                    return made
        except (av.error.FFmpegError, ValueError) as error:
            self._decoder = None
            raise FormatError(f"{self.path}: frame {index} cannot be decoded: {error}") from error
        self._decoder = None
        raise FormatError(f"{self.path}: frame {index} is missing")

    def _seek(self, index: int) -> None:
        self._container.seek(self._ticks[index], stream=self._stream, backward=True)
        self._decoder = self._container.decode(self._stream)
        self._next = 0

    def _read_ticks(self) -> list[int]:
        """Return the time of each frame, without decoding any."""
        ticks: set[int] = set()
        import av

        try:
            for packet in self._container.demux(self._stream):
                if packet.pts is not None:
                    ticks.add(packet.pts)
                if len(ticks) > _MAX_FRAMES:
                    raise LimitError(
                        f"{self.path} has more than {_MAX_FRAMES:,} frames",
                        "frames of a video", _MAX_FRAMES, len(ticks),
                    )  # fmt: skip
        except av.error.FFmpegError:
            pass  # the end of a file whose writing stopped
        if not ticks:
            raise FormatError(f"{self.path} has no frames")
        return sorted(ticks)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# Frames that are decoded in sequence rather than from the key frame before them.
_NEAR = 30


def _open(path: Path) -> Any:  # noqa: ANN401  av is optional
    import av

    try:
        # A local file only: a name such as http://... or concat:... is no protocol here.
        return av.open(os.fspath(path.absolute()), "r", options={"protocol_whitelist": "file"})
    except OSError as error:
        if isinstance(error, av.error.FFmpegError) and not isinstance(
            error, (FileNotFoundError, PermissionError, IsADirectoryError)
        ):
            raise FormatError(f"{path} is not a video: {error.strerror}") from error
        raise FileError(f"{path} cannot be read: {error.strerror}", str(path)) from error
    except ValueError as error:
        raise FormatError(f"{path} is not a video") from error


def _video_stream(container: Any, path: Path) -> Any:  # noqa: ANN401
    if not container.streams.video:
        raise FormatError(f"{path} has no video stream")
    stream = container.streams.video[0]
    context = stream.codec_context
    if max(context.width, context.height) > MAX_SIDE:
        raise LimitError(
            f"{path} is {context.width}x{context.height} pixels; at most {MAX_SIDE} are decoded",
            "side of a video", MAX_SIDE, max(context.width, context.height),
        )  # fmt: skip
    return stream


def _events(path: Path) -> tuple[tuple[StoryEvent, ...], str]:
    """Return the input beside a video, or the reason why it cannot be read."""
    log = input_path(path)
    if not log.exists():
        return (), "no input was recorded beside this video"
    try:
        entries = decode(read_file(log, _MAX_LOG_BYTES))
    except (KjuError, OSError) as error:
        return (), str(error)
    consoles = {entry.console for entry in entries}
    return tuple(described(entries, min(consoles, default=0))), ""


class PictureLoader:
    """Decodes pictures on a thread; a request that has not begun is replaced by the next.

    Args:
        path: The video.
        post: Calls a function on the caller's thread, from any thread.
        on_open: Called with the timeline.
        on_picture: Called with a frame's index and pixels.
        on_error: Called with the reason why the file or a frame cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        post: Callable[[Callable[[], None]], None],
        on_open: Callable[[Timeline], None],
        on_picture: Callable[[int, Pixels], None],
        on_error: Callable[[str], None],
    ) -> None:
        self._path, self._post = path, post
        self._on_open, self._on_picture, self._on_error = on_open, on_picture, on_error
        self._changed = threading.Condition()
        self._wanted: int | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="kju-player", daemon=True)
        self._thread.start()

    def want(self, index: int) -> None:
        """Request a frame; `on_picture` follows unless another one is requested before."""
        with self._changed:
            self._wanted = index
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_TIMEOUT)

    def _run(self) -> None:
        try:
            with VideoReader(self._path) as reader:
                timeline = reader.timeline
                self._post(lambda: self._on_open(timeline))
                while (index := self._next()) is not None:
                    self._load(reader, index)
        except (KjuError, OSError) as error:
            self._post_error(str(error))

    def _load(self, reader: VideoReader, index: int) -> None:
        try:
            pixels = reader.picture(index)
        except KjuError as error:
            self._post_error(str(error))
        else:
            self._post(lambda: self._on_picture(index, pixels))

    def _next(self) -> int | None:
        with self._changed:
            while self._wanted is None and not self._closed:
                self._changed.wait()
            wanted, self._wanted = self._wanted, None
            return None if self._closed else wanted

    def _post_error(self, reason: str) -> None:
        self._post(lambda: self._on_error(reason))
