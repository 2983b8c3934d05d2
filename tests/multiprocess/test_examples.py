"""The example in C is compiled with the header alone and watched from Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kju
from kju.client.surface import Surface
from kju.errors import ProducerGoneError

ROOT = Path(__file__).resolve().parents[2]
BALL = (0x00, 0xA0, 0xFF)  # B, G, R
GROUND = (0x40, 0x30, 0x20)


@pytest.fixture(scope="module", params=["gcc", "clang"])
def moving(request, tmp_path_factory):
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    where = tmp_path_factory.mktemp("moving")
    # The compiler finds the header only.
    (where / "include/kju").mkdir(parents=True)
    shutil.copy(ROOT / "include/kju/surface.h", where / "include/kju")
    shutil.copy(ROOT / "examples/moving.c", where)
    strict = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-I", "include"]
    command = [request.param, *strict, "-o", "moving", "moving.c"]
    subprocess.run(command, cwd=where, check=True)
    return where / "moving"


def start(*command):
    environment = {**os.environ, "PYTHONPATH": str(Path(kju.__file__).resolve().parents[1])}
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_python_receives_every_version_of_the_c_example(moving, tmp_path):
    path, png = tmp_path / "moving.kju", tmp_path / "last.png"
    with start(moving, path, 90) as producer:
        assert producer.stdout.readline() == f"{path}\n"
        with start(sys.executable, ROOT / "examples/watch.py", path, png) as watcher:
            lines = watcher.stdout.read().splitlines()
    assert (producer.returncode, watcher.returncode) == (0, 0)
    assert "640x480, everything" in lines[0]
    assert lines[-1] == "the end: the producer has closed the surface"
    versions = [int(re.match(r"version (\d+):", line)[1]) for line in lines[:-1]]
    assert versions == sorted(set(versions))
    assert versions[-1] == 91  # the mode and ninety frames: the last was seen
    with Image.open(png) as image:
        pixels = np.asarray(image)[..., ::-1]
    assert (pixels == BALL).all(-1).sum() == 48 * 48
    assert ((pixels == BALL) | (pixels == GROUND)).all()


def test_changes_alone_keep_a_copy_equal(moving, tmp_path):
    path = tmp_path / "moving.kju"
    with start(moving, path, 60) as producer:
        producer.stdout.readline()
        with Surface(path) as surface:
            ours = np.zeros((480, 640, 4), np.uint8)
            with pytest.raises(ProducerGoneError):
                for change in surface.changes(timeout=30):
                    for r in change.rects:
                        ours[r.y : r.bottom, r.x : r.right] = surface.frame(r, pixels="bgrx")
            assert np.array_equal(ours, surface.frame(consistent=True, pixels="bgrx"))
            assert (ours[..., :3] == BALL).all(-1).sum() == 48 * 48


def test_kill_of_the_c_example_is_noticed(moving, tmp_path):
    path = tmp_path / "moving.kju"
    with start(moving, path, 0) as producer:
        producer.stdout.readline()
        with Surface(path) as surface:
            producer.kill()
            with pytest.raises(ProducerGoneError, match="died"):
                for _ in surface.changes():
                    pass
            assert surface.frame().shape == (480, 640, 3)
