"""Files that are truncated while mapped: processes get errors and survive."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import kju
from kju.memory import SurfaceProducer

SOURCE = str(Path(kju.__file__).resolve().parent.parent)


def python(code, *arguments, expect=0):
    """Run a program and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=False,
    )
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "screen"
    with SurfaceProducer.create(path, capacity=640 * 480 * 4) as producer:
        producer.set_mode(640, 480, source=np.full((480, 640, 4), 9, np.uint8))
    return path


def test_copies_during_a_truncation_are_errors(path):
    """Another process truncates and restores the file again and again while this one copies."""
    out, _ = python(
        """
        import os, sys, threading
        from kju.client.surface import Surface
        from kju.errors import KjuError
        path = sys.argv[1]
        whole = open(path, "rb").read()
        raised = copied = 0
        for turn in range(60):
            with Surface(path) as surface:
                view = surface.view()
                # The file is cut at once, or once it is being copied.
                for _ in range(turn % 3):
                    assert (surface.frame(pixels="bgrx") == 9).all()
                    copied += 1
                cutter = threading.Thread(target=os.truncate, args=(path, (turn % 20) * 65536))
                cutter.start()
                try:
                    while True:
                        frame = surface.frame(pixels="bgrx")
                        copied += 1
                        assert (frame == 9).all(), "zeros from a hole were given as a picture"
                except KjuError as error:
                    raised += 1
                cutter.join()
                int(view.sum())  # what is lost reads as zeros
            with open(path, "r+b") as file:
                file.write(whole)
        print(raised, copied)
        """,
        path,
    )
    raised, copied = map(int, out.split())
    assert raised == 60 and copied >= 60


def test_truncation_ends_waits_of_processes(actor, tmp_path):
    producer = actor("publish_and_stay", tmp_path / "screen", 5)
    where = producer.hear()["ready"]
    mirrors = [actor("mirror", where, form) for form in ("sync", "async")]
    for mirror in mirrors:
        assert mirror.hear()["ready"]
    begun = time.monotonic()
    os.truncate(where, 0)
    for mirror in mirrors:
        assert mirror.hear()["error"] == "MemoryLostError"
        assert mirror.end() == 0
    assert time.monotonic() - begun < 20  # and not at a wait's limit of 30 s
    producer.kill()


def test_truncation_is_survived_with_any_handler_of_sigbus(path):
    """Install faulthandler before, faulthandler after, and the program's own handler."""
    code = """
        import faulthandler, os, signal, sys
        order, path = sys.argv[1:]
        if order == "before":
            faulthandler.enable()
        if order == "own":
            signal.signal(signal.SIGBUS, lambda *_: print("own"))
        from kju.client.surface import Surface
        from kju.errors import MemoryLostError
        surface = Surface(path)
        if order == "after":
            faulthandler.enable()
            surface.frame()
        os.truncate(path, 8192)
        try:
            surface.frame()
        except MemoryLostError:
            print("lost")
        if order == "own":
            os.kill(os.getpid(), signal.SIGBUS)
        """
    whole = path.read_bytes()
    for order in ("none", "before", "after", "own"):
        path.write_bytes(whole)
        out, _ = python(code, order, path)
        assert out.split() == (["lost", "own"] if order == "own" else ["lost"])


@pytest.mark.parametrize("handler", ["none", "faulthandler"])
@pytest.mark.parametrize("cause", ["access", "kill"])
def test_bus_error_of_another_cause_ends_the_process(path, tmp_path, handler, cause):
    """It ends quickly: faulthandler raises the signal again, which must not loop."""
    _, err = python(
        """
        import faulthandler, mmap, os, signal, sys
        path, other, handler, cause = sys.argv[1:]
        if handler == "faulthandler":
            faulthandler.enable()
        from kju.client.surface import Surface
        surface = Surface(path)
        surface.frame()
        if cause == "kill":
            os.kill(os.getpid(), signal.SIGBUS)
        with open(other, "w+b") as file:
            file.truncate(8192)
            theirs = mmap.mmap(file.fileno(), 8192)
            file.truncate(0)
        theirs[5000]
        """,
        path,
        tmp_path / "other",
        handler,
        cause,
        expect=-7,
    )
    assert err.count("Fatal Python error") == (handler == "faulthandler")
