"""Who publishes, and whether they still live."""

import os
import subprocess
import sys

import pytest

from kju.memory import identity
from kju.memory.file import is_locked, lock_for_life, unlock
from kju.surface import Identity


def test_this_process_lives():
    me = identity.own_identity(locks=False)
    assert me.pid == os.getpid() and me.start_time > 0 and me.namespace > 0
    assert not identity.has_died(me, -1)


def test_another_start_is_another_process():
    me = identity.own_identity(locks=False)
    assert identity.has_died(me._replace(start_time=me.start_time - 1), -1)


@pytest.mark.parametrize(
    "unknown", [{"pid": 0}, {"namespace": 1}], ids=["no pid", "another pid namespace"]
)
def test_what_cannot_be_known_is_not_death(unknown):
    me = identity.own_identity(locks=False)._replace(start_time=1, **unknown)
    assert not identity.has_died(me, -1)


def test_a_dead_process_and_a_zombie():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pid = child.pid
    them = Identity(pid, identity._start_time(pid), identity._namespace(), False)
    assert not identity.has_died(them, -1)
    child.stdin.close()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # ended, but not yet collected
    assert identity.has_died(them, -1)
    child.wait()
    assert identity.has_died(them, -1)


def test_the_lock_says_more_than_the_pid(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    ours = os.open(path, os.O_RDWR)
    theirs = os.open(path, os.O_RDONLY)
    strange = Identity(1, 1, 1, True)  # a pid in a namespace nobody here can see
    assert identity.has_died(strange, theirs)
    lock_for_life(ours)
    assert is_locked(theirs) and not identity.has_died(strange, theirs)
    unlock(ours)
    assert identity.has_died(strange, theirs)
    os.close(ours)
    os.close(theirs)
