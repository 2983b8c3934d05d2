"""A producer's record lock and identity show whether it is alive."""

import os
import subprocess
import sys

import pytest

from kju.memory import file
from kju.memory.file import has_died, is_locked, lock_for_life, own_identity, unlock
from kju.surface import ProducerIdentity


def test_this_process_is_alive():
    me = own_identity(locks=False)
    assert me.pid == os.getpid() and me.start_time > 0 and me.namespace > 0
    assert not has_died(me, -1)


def test_another_start_time_is_another_process():
    me = own_identity(locks=False)
    assert has_died(me._replace(start_time=me.start_time - 1), -1)


@pytest.mark.parametrize(
    "unknown", [{"pid": 0}, {"namespace": 1}], ids=["no pid", "another pid namespace"]
)
def test_an_unknown_process_counts_as_alive(unknown):
    me = own_identity(locks=False)._replace(start_time=1, **unknown)
    assert not has_died(me, -1)


def test_a_zombie_and_a_reaped_process_have_died():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pid = child.pid
    them = ProducerIdentity(pid, file._start_time(pid), file._namespace(), False)
    assert not has_died(them, -1)
    child.stdin.close()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # ended, not yet reaped
    assert has_died(them, -1)
    child.wait()
    assert has_died(them, -1)


def test_a_lock_shows_that_a_process_of_another_namespace_is_alive(tmp_path):
    path = tmp_path / "surface"
    path.write_bytes(b"x")
    ours = os.open(path, os.O_RDWR)
    theirs = os.open(path, os.O_RDONLY)
    strange = ProducerIdentity(1, 1, 1, True)  # a pid of a namespace that this process cannot see
    assert has_died(strange, theirs)
    lock_for_life(ours)
    assert is_locked(theirs) and not has_died(strange, theirs)
    unlock(ours)
    assert has_died(strange, theirs)
    os.close(ours)
    os.close(theirs)
