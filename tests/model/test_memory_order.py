"""Each memory order of surface.h under the C11 model: with all of them the rule holds, and
without any one of them something breaks.

memory_order.cpp describes the tests; docs/memory-order.md has the reasons.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HEADER = HERE.parents[1] / "include/kju/surface.h"

# Preemptions up to which every interleaving is run; beyond that, random ones.
TESTS = {
    "equal": 3,
    "fresh": 3,
    "wake": 3,
    "exact": 3,
    "mode": 2,
    "window": 2,
    "state": 2,
    "geometry": 2,
}

# The tests of each function; at least one must notice a missing order.
NEEDED_BY = {
    "kju_unlock": ["exact", "mode"],
    "kju_wake": ["wake"],
    "kju_begin": ["exact"],
    "kju_mark": ["fresh"],
    "kju_end": ["equal"],
    "kju_set_mode": ["mode", "window", "geometry"],
    "kju_set_live": ["window"],
    "kju_set_state": ["state"],
    "kju_version": ["equal"],
    "kju_pulse": ["wake"],
    "kju_read_live": ["mode", "window"],
    "kju_sequence": ["exact"],
    "kju_same_sequence": ["exact"],
    "kju_tile_newer": ["fresh"],
}
# Message passing with constants, before anybody publishes: plain data is not run here.
BY_ARGUMENT = {"kju_check", "kju_format"}


def as_cpp(header: str) -> str:
    """Return the header with Relacy's atomics, a short reason, and two tries to read a mode."""
    changes = [
        (r"_Atomic (u?int\d+_t)", r"rl::atomic<\1>"),
        (r"#include <(?:stdatomic.h|linux/futex.h)>", ""),
        (r"_Static_assert\(", "KJU_IGNORED("),  # Relacy's atomics are larger
        (r"syscall\(SYS_futex, (\w+), (\w+), (\w+),[^)]*\)", r"kju_model_futex(\1, \2, \3)"),
        (r"atomic_thread_fence\(", "kju_fence("),
        (r"(#define KJU_REASON_SIZE) 128u", r"\1 2u"),
        (r"tries < 10000", "tries < 2"),
    ]
    for old, new in changes:
        header, count = re.subn(old, new, header)
        assert count, f"surface.h has no {old} any more"
    ignored = "#define KJU_IGNORED(...) struct kju_ignored\n"
    return f'{ignored}#line 1 "surface_as_cpp.h"\n{header}'


def orders() -> list[tuple[str, int]]:
    """Return function and line of each acquire and release."""
    found, function = [], ""
    for number, line in enumerate(HEADER.read_text().splitlines(), 1):
        if line.startswith("static inline"):
            function = re.search(r"(\w+)\(", line)[1]
        if re.search(r"memory_order_(acquire|release|acq_rel|seq_cst)", line):
            found.append((function, number))
    return [order for order in found if order[0] not in BY_ARGUMENT]


@pytest.fixture(scope="module")
def holds(tmp_path_factory):
    """Compile once; return a function that runs a test with an order relaxed."""
    if not (shutil.which("g++") and Path("/usr/include/relacy/relacy.hpp").exists()):
        pytest.skip("Relacy is not installed (Debian: apt-get install g++ relacy-dev)")
    folder = tmp_path_factory.mktemp("relacy")
    (folder / "surface_as_cpp.h").write_text(as_cpp(HEADER.read_text()))
    program = folder / "memory_order"
    # As C++ the header converts from void * without a cast. Relacy predates sized deallocation.
    options = ["-std=gnu++11", "-fpermissive", "-w", "-O1", f"-I{folder}"]
    command = ["g++", *options, str(HERE / "memory_order.cpp"), "-o", str(program)]
    compiled = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert not compiled.returncode, compiled.stderr

    def run(test: str, bound: int, line: int = 0) -> tuple[bool, str]:
        done = subprocess.run(
            [str(program), test, str(bound), str(line)], stdout=subprocess.PIPE, text=True
        )
        assert done.returncode in (0, 1), done.stdout
        return done.returncode == 0, done.stdout

    return run


@pytest.mark.parametrize("test", TESTS)
def test_orders_are_enough(holds, test):
    for bound in (0, TESTS[test]):
        right, text = holds(test, bound)
        assert right, text


@pytest.mark.parametrize(("function", "line"), orders())
def test_each_order_is_needed(holds, function, line):
    tests = NEEDED_BY[function]
    runs = ((test, bound) for test in tests for bound in (TESTS[test], 0))
    assert not all(holds(*run, line)[0] for run in runs), f"none of {tests} misses it"


def test_all_functions_with_orders_are_known():
    assert {function for function, _ in orders()} == set(NEEDED_BY)
