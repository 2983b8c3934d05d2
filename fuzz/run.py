"""Runs every fuzzer for a number of inputs, and prints the time of each.

    python fuzz/run.py --count 1000000 [NAME...]

NAME selects some: ``surface``, ``display1``, ``control``, ``needle``, ``texts``, ``disks``,
``wire``, ``greeting``, ``web`` (the files fuzz_*.py, guided by atheris where it is installed) and
``c``. The last is tests/c/hostile.c compiled with the address and undefined behaviour sanitizers:
random headers, and as many readings of a header that another thread changes, also after its check.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g"]


def compile_driver(where: Path) -> Path:
    """Compile the C driver with the sanitizers; return its path."""
    compiler = shutil.which("clang") or shutil.which("gcc") or "cc"
    sources = ["tests/c/hostile.c", "csrc/damage.c", "csrc/convert.c"]
    flags = ["-std=gnu11", *SANITIZE, "-Iinclude", "-Icsrc", "-pthread"]
    command = [compiler, *flags, *sources, "-o", str(where / "hostile")]
    subprocess.run(command, cwd=ROOT, check=True)
    return where / "hostile"


def command_for(name: str, count: int, where: Path) -> list[str]:
    """Return the command of a fuzzer; atheris takes the count as an option of libFuzzer."""
    if name == "c":
        return [str(compile_driver(where)), str(count)]
    script = str(ROOT / f"fuzz/fuzz_{name}.py")
    guided = importlib.util.find_spec("atheris") is not None
    # atheris itself grows by 3.5 kB for each random input; the targets do not.
    limits = ["-timeout=10", f"-rss_limit_mb={2048 + count * 4 // 1000}"]
    options = [f"-runs={count}", *limits, f"-artifact_prefix={ROOT}/build/"]
    return [sys.executable, script, *(options if guided else [str(count)])]


def main() -> int:
    """Run the fuzzers one after another; return the number of failed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="inputs for each")
    parser.add_argument(
        "names",
        nargs="*",
        help="surface, display1, control, needle, texts, disks, c; all by default",
    )
    chosen = parser.parse_args()
    every = [p.stem.removeprefix("fuzz_") for p in sorted((ROOT / "fuzz").glob("fuzz_*.py"))]
    (ROOT / "build").mkdir(exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as where:
        for name in chosen.names or [*every, "c"]:
            command = command_for(name, chosen.count, Path(where))
            begun = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)
            took = time.monotonic() - begun
            how = "passed" if done.returncode == 0 else f"FAILED with {done.returncode}"
            print(f"{name}: {chosen.count} inputs in {took:.0f} s: {how}", flush=True)
            failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
