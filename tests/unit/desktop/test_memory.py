"""Memory of a program that runs for days."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from kju.desktop.memory import release_free_memory


def test_free_memory_of_the_allocator_is_given_back():
    def resident() -> int:
        """Return the process's kilobytes: the blocks may be in any of the allocator's arenas."""
        return int(Path("/proc/self/smaps_rollup").read_text().partition("Rss:")[2].split()[0])

    blocks = [bytearray(100_000) for _ in range(400)]
    for block in blocks:
        block[:] = b"x" * len(block)
    kept, full = blocks[-1], resident()
    blocks.clear()
    release_free_memory()
    assert kept
    assert resident() < full - 20_000


def test_release_makes_no_garbage():
    release_free_memory()
    gc.collect()
    release_free_memory()
    assert not gc.collect()


def test_cycles_are_collected_soon_after_the_start():
    # In a process of its own: the choice is for the whole process.
    program = """
import gc, weakref
from kju.desktop.memory import collect_early

class Node:
    pass

kept = [[] for _ in range(200_000)]  # the program's own objects
collect_early()
node = Node()
node.itself = node
ended = weakref.ref(node)
gc.collect(1)  # it lives for some time
del node
new = 0
while ended() is not None and new < 40_000:
    kept.append([])
    new += 1
print(new)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    assert int(done.stdout) < 20_000
