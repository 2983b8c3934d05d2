"""Use an installed kju: shared memory through its C modules, the C header, the public names."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import kju
from kju.memory import SurfaceProducer

PROGRAM = """
#include <kju/surface.h>
int main(void) { return sizeof(struct kju_header) == 0; }
"""


def use_surface(folder: Path) -> None:
    """Publish a frame through a file and read it back."""
    frame = np.full((48, 64, 4), 7, np.uint8)
    path = folder / "picture.kju"
    with SurfaceProducer.create(path, capacity=frame.nbytes) as producer:
        producer.set_mode(64, 48)
        producer.compare(frame)
        with kju.Surface(path) as surface:
            assert (surface.frame(pixels="bgrx")[..., :3] == 7).all()


def compile_header(folder: Path) -> None:
    """Compile a program with the header that the package brings."""
    source, program = folder / "a.c", folder / "a"
    source.write_text(PROGRAM)
    subprocess.run(["cc", "-std=gnu11", "-I", kju.get_include(), source, "-o", program], check=True)
    subprocess.run([program], check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        use_surface(Path(name))
        compile_header(Path(name))
    for public in kju.__all__:
        getattr(kju, public)
    print(f"kju {kju.__version__} on Python {sys.version.split()[0]}, numpy {np.__version__}")
