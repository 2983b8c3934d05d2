"""The surface alone: frames, publishing, comparing, against copies of the same bytes."""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from kju import Rect, Surface
from kju.memory import SurfaceProducer

from .measure import Cold, Figure, in_turns, micro, once, percentile, ratio
from .wake import futex_seconds

WIDTH, HEIGHT = 1920, 1080
BYTES = WIDTH * HEIGHT * 4

libc = ctypes.CDLL(None)
for name in ("memcmp", "memcpy"):
    getattr(libc, name).argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]

# A producer of full frames at 60 Hz in its own process; prints a line, then runs until killed.
_BUSY = f"""
import sys, time, numpy as np
from kju.memory import SurfaceProducer
producer = SurfaceProducer.create(sys.argv[1], capacity={BYTES})
frames = [np.full(({HEIGHT}, {WIDTH}, 4), value, np.uint8) for value in (1, 2)]
producer.set_mode({WIDTH}, {HEIGHT})
print("ready", flush=True)
due = time.monotonic()
for n in range(60 * 600):
    producer.draw((0, 0, {WIDTH}, {HEIGHT}), frames[n & 1])
    due += 1 / 60
    time.sleep(max(0, due - time.monotonic()))
"""


@contextmanager
def busy_producer(address: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", _BUSY, address], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline().strip() == "ready"
        yield
    finally:
        process.kill()
        process.wait()


def snapshots(folder: str) -> Iterator[Figure]:
    with SurfaceProducer.create(f"{folder}/still", capacity=BYTES) as producer:
        noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
        producer.set_mode(WIDTH, HEIGHT, source=noise)
        surface = Surface(producer.address)
        source, target = np.asarray(surface.view()), np.empty((HEIGHT, WIDTH, 4), np.uint8)
        ours, copies, rgb = in_turns(
            lambda: surface.frame(pixels="bgrx"),
            lambda: np.copyto(target, source),
            lambda: surface.frame(pixels="rgb"),
            rounds=200,
        )
        detail = f"{micro(statistics.median(ours))} against {micro(statistics.median(copies))}"
        yield Figure(
            "surface",
            "frame 1920x1080, still",
            ratio(ours, copies),
            "x",
            1.15,
            "np.copyto of the same size",
            detail,
        )
        detail = f"{micro(statistics.median(rgb))} against {micro(statistics.median(copies))}"
        yield Figure(
            "surface",
            "frame 1920x1080 as RGB",
            ratio(rgb, copies),
            "x",
            2.0,
            "np.copyto of the same size",
            detail,
        )
    with busy_producer(f"{folder}/busy"):
        surface = Surface(f"{folder}/busy")
        still, target = np.array(surface.view()), np.empty((HEIGHT, WIDTH, 4), np.uint8)
        ours, copies = in_turns(
            lambda: surface.frame(pixels="bgrx"), lambda: np.copyto(target, still), rounds=300
        )
        yield Figure(
            "surface",
            "frame 1920x1080, redrawn at 60 Hz",
            ratio(ours, copies),
            "x",
            1.5,
            "np.copyto of the same size",
            f"{micro(statistics.median(ours))} against {micro(statistics.median(copies))}",
        )
        times = [once(lambda: surface.frame(consistent=True, pixels="bgrx")) for _ in range(2000)]
        yield Figure(
            "surface",
            "consistent frame, redrawn at 60 Hz, p99",
            percentile(times, 0.99) * 1e3,
            "ms",
            10,
            "",
            f"2000 of 2000 taken, median {micro(statistics.median(times))}",
        )


def publishing(folder: str) -> Iterator[Figure]:
    with SurfaceProducer.create(f"{folder}/publish", capacity=BYTES) as producer:
        producer.set_mode(WIDTH, HEIGHT)
        rect, pixels = Rect(640, 512, 64, 64), np.ones((64, 64, 4), np.uint8)

        def batch(call: Callable[[], object], times: int = 200) -> Callable[[], None]:
            def run() -> None:
                for _ in range(times):
                    call()

            return run

        alone, empty = in_turns(
            batch(lambda: producer.draw(rect, pixels)), batch(lambda: None), rounds=60
        )
        each = [(a - e) / 200 for a, e in zip(alone, empty, strict=True)]
        futex = futex_seconds(folder)
        yield Figure(
            "surface",
            "publish a 64x64 rectangle, pixels included",
            statistics.median(each) * 1e6,
            "us",
            2.0 + futex * 1e6,
            "2 us + the futex call",
            f"the futex call alone {micro(futex)}",
        )
        consumers = [Surface(producer.address) for _ in range(50)]
        for consumer in consumers:
            consumer.frame(pixels="bgrx")
        (watched,) = in_turns(batch(lambda: producer.draw(rect, pixels)), rounds=60)
        yield Figure(
            "surface",
            "the same with 50 consumers attached that do not wait",
            statistics.median(watched) / statistics.median(alone),
            "x",
            1.1,
            "without consumers",
            micro(statistics.median(watched) / 200),
        )


def comparing(folder: str) -> Iterator[Figure]:
    """Measure comparisons of a source and a surface that are not in the cache."""
    cold = Cold()
    with SurfaceProducer.create(f"{folder}/compare", capacity=BYTES) as producer:
        rng = np.random.default_rng(2)
        frames = [rng.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8) for _ in range(2)]
        producer.set_mode(WIDTH, HEIGHT, source=frames[0])
        published = producer.pixels
        plain, twin = frames[0].copy(), frames[0].copy()
        ours, theirs = in_turns(
            lambda: producer.compare(frames[0]),
            lambda: libc.memcmp(twin.ctypes.data, plain.ctypes.data, BYTES),
            rounds=40,
            between=cold,
        )
        assert (published == frames[0]).all()
        yield Figure(
            "surface",
            "compare 1920x1080, unchanged, cold",
            ratio(ours, theirs),
            "x",
            1.3,
            "memcmp",
            f"{micro(statistics.median(ours))} against {micro(statistics.median(theirs))}",
        )
        turn = [0]

        def change() -> None:
            turn[0] ^= 1
            producer.compare(frames[turn[0]])

        ours, theirs = in_turns(
            change,
            lambda: libc.memcpy(twin.ctypes.data, plain.ctypes.data, BYTES),
            rounds=40,
            between=cold,
        )
        yield Figure(
            "surface",
            "compare 1920x1080, everything changed, cold",
            ratio(ours, theirs),
            "x",
            1.9,
            "memcpy",
            f"{micro(statistics.median(ours))} against {micro(statistics.median(theirs))}",
        )


def thumbnails(folder: str) -> Iterator[Figure]:
    """Measure a whole thumbnail, and one of which a small part has changed, beside others'."""
    size, small = (1280, 800), (320, 200)
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (size[1], size[0], 4), np.uint8)
    peers: dict[str, Callable[[], object]] = {}
    with suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
        peers["cv2 INTER_AREA"] = lambda: cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    with suppress(ImportError):
        from PySide6.QtCore import Qt
        from PySide6.QtGui import QImage

        image = QImage(pixels.data, *size, QImage.Format.Format_RGB32)
        keep, smooth = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode
        peers["QImage smooth"] = lambda: image.scaled(*small, keep, smooth.SmoothTransformation)
    with SurfaceProducer.create(f"{folder}/thumbnail", capacity=BYTES) as producer:
        producer.set_mode(*size, source=pixels)
        surface = Surface(producer.address)
        ours, *theirs = in_turns(lambda: surface.thumbnail(*small), *peers.values(), rounds=200)
        beside = ", ".join(
            f"{name} {micro(statistics.median(taken))}"
            for name, taken in zip(peers, theirs, strict=True)
        )
        yield Figure("surface", "thumbnail of 1280x800, 320x200", statistics.median(ours) * 1e3,
                     "ms", 0.5, "", beside)  # fmt: skip
        last = surface.thumbnail(*small)
        rect, cell = Rect(640, 400, 64, 64), np.ones((64, 64, 4), np.uint8)
        (part,) = in_turns(
            lambda: surface.thumbnail(*small, last),
            rounds=200,
            between=lambda: producer.draw(rect, cell),
        )
        yield Figure("surface", "the same after a change of 64x64 pixels",
                     statistics.median(part) * 1e6, "us", 100, "", "")  # fmt: skip


def tile_sides(folder: str) -> Iterator[Figure]:
    """Measure the reasons for the tile's side: the cost of the table, the size of the damage."""
    for side in (16, 32, 64):
        yield _tile_side(folder, side)


def _tile_side(folder: str, side: int) -> Figure:
    with SurfaceProducer.create(f"{folder}/tile{side}", capacity=BYTES, tile=side) as producer:
        frame = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        producer.set_mode(WIDTH, HEIGHT, source=frame)
        surface = Surface(producer.address)
        mark = surface.mark
        frame[500:516, 700:708] = 255  # a text cursor's cell
        producer.compare(frame)
        scan, still = in_turns(
            lambda: surface.changes_since(mark), lambda: producer.compare(frame), rounds=200
        )
        area = sum(r.area for r in surface.changes_since(mark).rects)
        detail = (
            f"still compare {micro(statistics.median(still))}, an 8x16 cell damages {area} pixels"
        )
        return Figure("tiles", f"tiles of {side} pixels: query for changes",
                      statistics.median(scan) * 1e6, "us", None, "", detail)  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    yield from snapshots(folder)
    yield from publishing(folder)
    yield from comparing(folder)
    yield from thumbnails(folder)
    yield from tile_sides(folder)
