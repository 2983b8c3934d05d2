"""The fuzzers' budget of CPU time and memory: waits and a single slow run do not count."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
sys.path.insert(0, str(FUZZ))

from harness import Budget  # noqa: E402

SMALL = Budget(seconds=0.05, per_byte=0.001, memory=32 << 20)


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_input_over_the_budget_of_time_fails() -> None:
    with pytest.raises(AssertionError, match=r"3 bytes of input took \d+ ms of CPU time"):
        SMALL.check(lambda data: spin(0.2), b"abc")


def test_longer_input_has_a_larger_budget() -> None:
    SMALL.check(lambda data: spin(0.2), bytes(300))


def test_waiting_does_not_count() -> None:
    SMALL.check(lambda data: time.sleep(0.2), b"")


def test_slow_input_is_run_again() -> None:
    times = [0.2, 0.0]
    SMALL.check(lambda data: spin(times.pop(0)), b"")
    assert not times


def test_input_over_the_budget_of_memory_fails() -> None:
    """Run in a process whose peak size is not that of other tests."""
    code = f"""
        import sys
        sys.path.insert(0, {str(FUZZ)!r})
        from harness import Budget
        Budget(memory=32 << 20).check(lambda data: bytes(len(data)), bytes(1000))
        try:
            Budget(memory=32 << 20).check(lambda data: b"x" * (170 << 20), b"")
        except AssertionError as error:
            print(error)
    """
    # Started by a shell: at exec a process keeps the peak size of its memory from
    # before exec, which is the size of the process that started it.
    words = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, textwrap.dedent(code)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert "0 bytes of input took 1" in done.stdout


def test_fuzzer_without_coverage_keeps_the_budget(tmp_path: Path) -> None:
    target = tmp_path / "fuzz_slow.py"
    target.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(FUZZ)!r})
        import harness
        def one_input(data):
            end = time.thread_time() + (1 if data == b"slow" else 0)
            while time.thread_time() < end: pass
        harness.run(one_input, [b"quick"], lambda source: b"slow")
        """)
    )
    words = [sys.executable, str(target), "5", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode
    assert "ms of CPU time" in done.stderr
