"""A surface's file with an absurd geometry: every request ends in a documented error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kju
from kju.errors import FormatError
from kju.memory import SurfaceProducer
from kju.surface.layout import BY_NAME, MAX_PIXELS

#: Makes every request to the surface at argv[1], with argv[2] bytes of address space; prints a line
#: of JSON: the error of each request.
ASK = """
import json, resource, sys, kju
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
QUESTIONS = {
    "frame": lambda s: s.frame(),
    "consistent": lambda s: s.frame(consistent=True, pixels="bgrx"),
    "bgrx": lambda s: s.frame(pixels="bgrx"),
    "grey": lambda s: s.frame(pixels="grey"),
    "screenshot": lambda s: s.screenshot(sys.argv[1] + ".png"),
    "view": lambda s: s.view(),
    "wait": lambda s: s.wait_stable(0.01, timeout=1),
    "text": lambda s: s.wait_text("login", timeout=1),
    "part": lambda s: s.frame(kju.Rect(0, 0, 8, 8), pixels="bgrx"),
}
found = {}
surface = kju.Surface(sys.argv[1])
for name, ask in QUESTIONS.items():
    try:
        ask(surface)
        found[name] = ""
    except kju.KjuError as error:
        found[name] = type(error).__name__
    except BaseException as error:
        found[name] = f"undocumented: {type(error).__name__}: {error}"
print(json.dumps(found))
"""


def claiming(path: Path, side: int) -> str:
    """Make a sparse surface file whose header has *side* pixels a side."""
    producer = SurfaceProducer.create(path, capacity=side * side * 4, max_side=side)
    producer.set_mode(64, 64)
    with path.open("r+b") as file:
        for name, value in (("width", side), ("height", side), ("stride", side * 4)):
            file.seek(BY_NAME[name].offset)
            file.write(value.to_bytes(BY_NAME[name].size, "little"))
    status = path.stat()
    assert status.st_blocks * 512 * 50 < status.st_size  # nothing but the tile table
    return str(path)


def asked(path: str, memory: int) -> dict[str, str]:
    words = [sys.executable, "-c", ASK, path, str(memory)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("side", [16385, 65535])
def test_picture_over_the_limit_is_a_format_error(tmp_path: Path, side: int) -> None:
    path = claiming(tmp_path / "s", side)
    # Enough to map the file, which needs no memory, and too little to copy its picture.
    found = asked(path, side * side * 4 + (3 << 30))
    assert found == dict.fromkeys(found, "FormatError")


def test_picture_larger_than_memory_is_a_limit_error(tmp_path: Path) -> None:
    side = 16384
    assert side * side == MAX_PIXELS
    path = claiming(tmp_path / "s", side)
    found = asked(path, side * side * 4 + (700 << 20))
    copies = ("frame", "consistent", "bgrx", "screenshot", "wait", "text")
    assert {name: found[name] for name in copies} == dict.fromkeys(copies, "LimitError")
    assert found["part"] == found["view"] == ""


def test_file_shorter_than_its_surface_is_a_format_error(tmp_path: Path) -> None:
    path = claiming(tmp_path / "s", 8192)
    with Path(path).open("r+b") as file:
        file.truncate(1 << 20)
    with pytest.raises(FormatError, match="ends before the surface does"):
        kju.Surface(path)


def test_file_that_cannot_be_mapped_is_a_limit_error(tmp_path: Path) -> None:
    path = claiming(tmp_path / "s", 16384)
    code = ASK.partition("QUESTIONS")[0] + "kju.Surface(sys.argv[1])"
    words = [sys.executable, "-c", code, path, str(700 << 20)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.stderr.splitlines()[-1].startswith("kju.errors.LimitError: a surface of 1")
