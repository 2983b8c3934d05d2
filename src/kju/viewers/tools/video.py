"""Video files of a screen: MP4, WebM or GIF, written through PyAV.

- A frame has the time of its damage: the frame rate is variable, and a still screen adds nothing.
- The size is that of the first frame. A later mode is drawn into it: in its own size where it fits,
  else scaled down with its proportions.
- An MP4 is written in fragments and a WebM in clusters, so that a file whose writing stopped (a
  full disk, a killed process) plays up to that moment. A finished file has the index as well.
- The encoder is the first one of a table that this PyAV has.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ... import extras
from ...errors import FileError, UsageError
from ...files import GrowingFile

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: The clock of a video: milliseconds. A GIF counts hundredths of a second.
_CLOCK = Fraction(1, 1000)
_PURPOSE = "a video"
# AV_PICTURE_TYPE_I of FFmpeg.
_KEY_FRAME = 1
#: Seconds between two key frames, to which a player can jump; also the length of a fragment.
_KEY_SECONDS = 2.0


class _Encoder(NamedTuple):
    """An encoder of FFmpeg.

    Attributes:
        name: Its name.
        pixel_format: Its input.
        options: Its options.
    """

    name: str
    pixel_format: str
    options: dict[str, str]


class VideoKind(NamedTuple):
    """A kind of video file.

    Attributes:
        suffix: The ending of its files.
        container: FFmpeg's name of the format.
        title: Its name for a user.
        rate: Frames per second at most.
        options: Options of the format.
        encoders: The encoders, the best one first.
    """

    suffix: str
    container: str
    title: str
    rate: float
    options: dict[str, str]
    encoders: tuple[_Encoder, ...]


# Without a delay: a frame that the encoder holds back is lost when the disk is full.
_H264 = {"preset": "veryfast", "crf": "20", "tune": "zerolatency"}
# A fragment for each frame, until the whole index is written at the end; FFmpeg before 8 keeps the
# fragments.
_FRAGMENTS = "hybrid_fragmented+frag_every_frame"
_OLD_FRAGMENTS = "frag_every_frame+empty_moov+default_base_moof"
_FFMPEG_8 = 62  # its libavformat
KINDS = {
    kind.suffix: kind
    for kind in (
        VideoKind(
            ".mp4",
            "mp4",
            "MP4",
            30.0,
            {"movflags": _FRAGMENTS},
            (
                _Encoder("libx264", "yuv420p", _H264),
                _Encoder("libopenh264", "yuv420p", {"rc_mode": "quality"}),
                _Encoder("mpeg4", "yuv420p", {"qscale": "3"}),
            ),
        ),
        VideoKind(
            ".webm",
            "webm",
            "WebM",
            30.0,
            {"cluster_time_limit": "2000"},
            (
                _Encoder(
                    "libvpx-vp9",
                    "yuv420p",
                    {"deadline": "realtime", "cpu-used": "7", "crf": "24", "b": "0", "row-mt": "1"},
                ),
                _Encoder("libvpx", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
            ),
        ),
        VideoKind(".gif", "gif", "GIF", 10.0, {"loop": "0"}, (_Encoder("gif", "pal8", {}),)),
    )
}


def video_kind(path: str | os.PathLike[str]) -> VideoKind:
    """Return the kind of a file by its ending.

    Raises:
        UsageError: Its ending is not in `KINDS`.
    """
    kind = KINDS.get(Path(path).suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: a recording ends in {', '.join(KINDS)}")
    return kind


def missing_recorder() -> str:
    """Return how to install PyAV; empty if it is installed."""
    missing = extras.missing_packages("desktop", "av")
    return extras.message("desktop", _PURPOSE, missing) if missing else ""


def require_recorder() -> None:
    """Check that PyAV is installed.

    Raises:
        MissingError: It is not; the message has the command that installs it.
    """
    extras.require("desktop", _PURPOSE, only="av")


class VideoFile:
    """A video that is written; close it to finish the file.

    Args:
        path: The file; it must not exist.
        width: Of the first frame, pixels.
        height: Of the first frame.

    Attributes:
        size: Width and height of the video, even numbers.
        encoder: The name of its encoder.
        frames: Number of frames.

    Raises:
        UsageError: The ending is unknown, or this PyAV has no encoder for it.
        MissingError: PyAV is not installed.
        FileError: The file exists or cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        require_recorder()
        self.kind = video_kind(path)
        encoder = _available(self.kind)
        self.encoder: str = encoder.name
        self.size: tuple[int, int] = width + width % 2, height + height % 2
        self.frames: int = 0
        self._file = GrowingFile(path)
        self._last: Pixels | None = None
        self._last_tick = -1
        self._next_key = 0
        try:
            self._container, self._stream = _opened(self._file, self.kind, encoder, self.size)
        except BaseException:
            self._file.discard()
            raise

    @property
    def bytes(self) -> int:
        """Bytes that the file has."""
        return self._file.size

    def add(self, pixels: Pixels, seconds: float) -> None:
        """Add a frame.

        Args:
            pixels: ``(height, width, 4)``, B G R X, or grey, ``(height, width)``.
            seconds: Its time since the begin of the video; a frame at the time of an earlier one
                is dropped.

        Raises:
            FileError: The disk is full, or failed. The file plays up to an earlier frame.
        """
        tick = round(seconds / _CLOCK)
        if tick <= self._last_tick:
            return
        self._last = fitted(pixels, self.size)
        self._encode(self._last, tick)

    def close(self, seconds: float) -> None:
        """Finish the file.

        Args:
            seconds: The duration: the last frame is shown until then.

        Raises:
            FileError: As `add`.
        """
        try:
            tick = round(seconds / _CLOCK)
            if self._last is not None and tick > self._last_tick:
                self._encode(self._last, tick)
            with self._failing():
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
                self._container.close()
                self._file.finish()
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Close the file without its index; it plays up to an earlier frame."""
        with contextlib.suppress(Exception):  # the disk is full: closing fails as well
            self._container.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._abandon()

    def _encode(self, pixels: Pixels, tick: int) -> None:
        with self._failing():
            frame = _video_frame(pixels, self.kind)
            frame.pts, frame.time_base, frame.duration = tick, _CLOCK, 1
            if tick >= self._next_key:
                frame.pict_type = _KEY_FRAME
                self._next_key = tick + round(_KEY_SECONDS / _CLOCK)
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
            self._file.check()
        self._last_tick = tick
        self.frames += 1

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Convert an error of PyAV in the block to that of the file, if there is one.

        After a failure of the file the block is not entered: FFmpeg crashes the process if it is
        given a packet after its header could not be written.
        """
        import av

        try:
            self._file.check()
            yield
            self._file.check()
        except FileError:
            raise
        except (av.error.FFmpegError, OSError) as error:
            self._file.check()
            path = self._file.path
            raise FileError(f"{path} cannot be written: {error}", str(path)) from error


def fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a picture in the size of a video, ``(height, width, 4)``, B G R X, as a copy.

    It is centred on black where it is smaller, and scaled down where it is larger.
    """
    plain: Pixels = np.asarray(pixels)
    if plain.ndim == 2:
        plain = np.repeat(plain[..., None], 4, 2)
    height, width = plain.shape[:2]
    if width > size[0] or height > size[1]:
        plain = _shrunk(plain, min(size[0] / width, size[1] / height))
        height, width = plain.shape[:2]
    made = np.zeros((size[1], size[0], 4), np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    made[top : top + height, left : left + width] = plain
    return made


def _shrunk(pixels: Pixels, scale: float) -> Pixels:
    from av.video.frame import VideoFrame

    height, width = pixels.shape[:2]
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="bgra")
    size = max(1, int(width * scale)), max(1, int(height * scale))
    smaller = frame.reformat(width=size[0], height=size[1], interpolation="AREA")
    return np.asarray(smaller.to_ndarray(), np.uint8)


def _available(kind: VideoKind) -> _Encoder:
    """Return the first encoder of a kind that this PyAV has.

    Raises:
        UsageError: It has none.
    """
    import av

    for encoder in kind.encoders:
        with contextlib.suppress(ValueError, av.error.FFmpegError):
            av.codec.Codec(encoder.name, "w")
            return encoder
    names = " or ".join(encoder.name for encoder in kind.encoders)
    raise UsageError(f"this PyAV has no encoder for {kind.title} ({names}); choose another ending")


def _opened(
    file: GrowingFile, kind: VideoKind, encoder: _Encoder, size: tuple[int, int]
) -> tuple[Any, Any]:
    """Return the container and its stream."""
    import av

    options = kind.options | {"flush_packets": "1"}
    if "movflags" in options and av.library_versions["libavformat"][0] < _FFMPEG_8:
        options["movflags"] = _OLD_FRAGMENTS
    container = av.open(file, "w", format=kind.container, container_options=options)
    try:
        stream: Any = container.add_stream(encoder.name, options=encoder.options)
        stream.width, stream.height = size
        stream.pix_fmt = encoder.pixel_format
        stream.time_base = stream.codec_context.time_base = _CLOCK
        stream.codec_context.gop_size = round(_KEY_SECONDS * kind.rate)
        if encoder.pixel_format == "yuv420p":
            stream.codec_context.color_range = 1  # limited, as players assume
    except BaseException:
        container.close()
        raise
    return container, stream


def _video_frame(pixels: Pixels, kind: VideoKind) -> Any:  # noqa: ANN401  av is optional
    from av.video.frame import VideoFrame

    if kind.suffix != ".gif":
        return VideoFrame.from_ndarray(pixels, format="bgra")
    from PIL import Image

    # Each frame has its own palette: FFmpeg's fixed one of 3-3-2 bits spoils gradients.
    colours = Image.fromarray(np.ascontiguousarray(pixels[..., 2::-1]))
    indexed = colours.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = np.zeros((256, 4), np.uint8)
    listed = np.array(indexed.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[:, 0] = 255  # A R G B
    palette[: len(listed), 1:] = listed
    planes: Any = np.asarray(indexed), palette  # its types know no tuple
    return VideoFrame.from_ndarray(planes, format="pal8")
