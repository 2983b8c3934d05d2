"""kju's choice of an accelerator, made once in a run of tests.

kju tries KVM once per boot of the computer and keeps the answer in the folder of running machines.
Most tests have such a folder of their own, and a KVM that does not work takes seconds to try.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import pytest

FILE = ".accelerator.json"


@functools.cache
def _answer() -> bytes:
    """Return the file in which kju keeps its answer; empty where it does not try KVM."""
    from kju.emulators.qemu import program

    found = shutil.which("qemu-system-x86_64")
    if not found:
        return b""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        Path(folder, "kju").mkdir(mode=0o700)
        program.best_accelerator(program.inspect(found))
        kept = Path(folder, "kju", FILE)
        return kept.read_bytes() if kept.exists() else b""


def keep_answer(runtime: Path) -> None:
    """Put the answer into a runtime folder, as the first machine that is started there does."""
    if answer := _answer():
        folder = runtime / "kju"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / FILE).write_bytes(answer)
