"""A process with a host's surface can read it and nothing else.

Every attack is tried by a process of the same user and by one of another (nobody), through the
descriptor itself and through whatever it can open anew.
"""

import fcntl
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import kju
from kju.client.surface import Surface
from kju.memory import SurfaceProducer
from kju.surface.geometry import Rect

SOURCE = str(Path(kju.__file__).resolve().parent.parent)

# Runs each attack and prints its result: the error, or that it worked. It does not import
# kju, as an attacker would not either.
ATTACKS = textwrap.dedent(
    """
    import ctypes, fcntl, json, mmap, os, sys
    number, uid, size = map(int, sys.argv[1:])
    libc = ctypes.CDLL(None, use_errno=True)
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

    def reopened(flags):
        return os.open(f"/proc/self/fd/{number}", flags)

    def checked(result):
        if result != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def fallocate(fd, mode, start, length):
        checked(libc.fallocate(fd, mode, ctypes.c_long(start), ctypes.c_long(length)))

    def protect():
        libc.mmap.restype = ctypes.c_void_p
        at = libc.mmap(None, ctypes.c_size_t(size), 1, 1, number, ctypes.c_long(0))
        checked(libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(size), 3))

    def loosen(flags):
        os.fchmod(number, 0o777)
        return reopened(flags)

    PUNCH, KEEP, ZERO, COLLAPSE = 2, 1, 16, 8
    attacks = {
        "map writable": lambda: mmap.mmap(number, size, access=mmap.ACCESS_WRITE),
        "map read-only and make it writable": protect,
        "write": lambda: os.pwrite(number, b"x", 4096),
        "reopen and write": lambda: os.pwrite(reopened(os.O_RDWR), b"x", 4096),
        "reopen write-only and write": lambda: os.write(reopened(os.O_WRONLY), b"x"),
        "reopen and append": lambda: os.write(reopened(os.O_WRONLY | os.O_APPEND), b"x"),
        "reopen and map writable": lambda: mmap.mmap(reopened(os.O_RDWR), size),
        "reopen and cut": lambda: reopened(os.O_RDWR | os.O_TRUNC),
        "cut by path": lambda: os.truncate(f"/proc/self/fd/{number}", 0),
        "shrink": lambda: os.ftruncate(number, 4096),
        "reopen and shrink": lambda: os.ftruncate(reopened(os.O_RDWR), 4096),
        "grow": lambda: os.ftruncate(number, size + 4096),
        "reopen and grow": lambda: os.ftruncate(reopened(os.O_RDWR), size + 4096),
        "grow by writing": lambda: os.pwrite(reopened(os.O_RDWR), b"x", size),
        "grow by allocating": lambda: fallocate(reopened(os.O_RDWR), 0, size, 4096),
        "punch": lambda: fallocate(number, PUNCH | KEEP, 0, 4096),
        "reopen and punch": lambda: fallocate(reopened(os.O_RDWR), PUNCH | KEEP, 0, 4096),
        "reopen and zero": lambda: fallocate(reopened(os.O_RDWR), ZERO, 0, 4096),
        "reopen and collapse": lambda: fallocate(reopened(os.O_RDWR), COLLAPSE, 0, 4096),
        "change its mode, reopen and write": lambda: os.write(loosen(os.O_RDWR), b"x"),
        "change its mode, reopen and map": lambda: mmap.mmap(loosen(os.O_RDWR), size),
        "change its mode, reopen and punch": lambda: fallocate(
            loosen(os.O_RDWR), PUNCH | KEEP, 0, 4096
        ),
        "seal it": lambda: fcntl.fcntl(number, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK),
        "reopen and seal it": lambda: fcntl.fcntl(
            reopened(os.O_RDWR), fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE
        ),
        "send into it": lambda: os.sendfile(
            reopened(os.O_RDWR), os.open("/proc/self/exe", os.O_RDONLY), 0, 10
        ),
    }
    ends = {}
    for name, attack in attacks.items():
        try:
            attack()
            ends[name] = "worked"
        except (OSError, ValueError) as error:
            ends[name] = type(error).__name__
    ends["read"] = os.pread(number, 8, 0).decode()
    print(json.dumps(ends))
    """
)


def attack(number, uid, size):
    done = subprocess.run(
        [sys.executable, "-c", ATTACKS, str(number), str(uid), str(size)],
        pass_fds=[number],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("uid", [0, 65534], ids=["the same user", "nobody"])
def test_every_attack_fails(uid):
    if uid and os.getuid():
        pytest.skip("only root can become another user")
    with SurfaceProducer.create("memfd:", capacity=64 * 64 * 4) as producer:
        picture = np.full((64, 64, 4), 7, np.uint8)
        producer.set_mode(64, 64, source=picture)
        number = os.dup(producer.memory.fileno())
        size = producer.memory.size
        before = os.pread(number, size, 0)
        ends = attack(number, uid, size)
        assert ends.pop("read") == "kju-surf"
        assert {name for name, end in ends.items() if end == "worked"} == set()
        assert len(ends) == 25
        # The pixels are unchanged, and the producer continues.
        assert os.pread(number, size, 0) == before
        assert os.fstat(number).st_size == size
        producer.draw(Rect(0, 0, 1, 1), b"abcd")
        with Surface.from_fd(number) as surface:
            assert surface.frame(pixels="bgrx")[0, 0].tobytes() == b"abcd"


def test_attacks_work_on_memory_without_seals(tmp_path):
    """This proves that the test above can fail."""
    number = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.ftruncate(number, 8192)
    os.pwrite(number, b"kju-surf", 0)
    ends = attack(number, 0, 8192)
    worked = {name for name, end in ends.items() if end == "worked"}
    assert {"map writable", "reopen and map writable", "shrink", "punch", "seal it"} <= worked
    os.close(number)


def test_handed_out_descriptor_is_read_only_and_private():
    with SurfaceProducer.create("memfd:", capacity=4096) as producer:
        status = os.fstat(producer.memory.fileno())
        assert status.st_mode & 0o777 == 0o400

        flags = fcntl.fcntl(producer.memory.fileno(), fcntl.F_GETFL)
        assert flags & os.O_ACCMODE == os.O_RDONLY
        seals = fcntl.fcntl(producer.memory.fileno(), fcntl.F_GET_SEALS)
        assert seals == (
            fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | 0x10  # FUTURE_WRITE
        )
