"""Errors of failed system calls name the file, or the limit and its remedy."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from kju.cli.output import Exit, code_of
from kju.errors import FileError, KjuError, LimitError
from kju.files import descriptor_limit, file_error, lost_descriptors

PROGRAM = """
import os, resource, sys
import kju, kju.memory, kju.client.processes
from kju.store.running import connect
from kju.store.paths import Path, Paths
from kju.errors import LimitError
soft = 64
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
machine = Paths(Path("/nonexistent"))
for attempt in (
    lambda: connect(machine, "web"),
    kju.client.processes.start_host,
    kju.client.processes.HostSpawner().start,
    lambda: kju.memory.open_memory(sys.argv[1]),
    lambda: kju.memory.create("memfd:x", 4096),
):
    try:
        attempt()
    except LimitError as error:
        assert (error.limit, error.value) == ("RLIMIT_NOFILE", soft), error
        print(error)
"""


def test_every_lack_of_descriptors_names_the_limit(tmp_path: Path) -> None:
    (tmp_path / "surface").write_bytes(bytes(4096))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "surface")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
    )
    said = done.stdout.splitlines()
    assert len(said) == 5, done.stderr
    assert all("may have 64 (RLIMIT_NOFILE)" in line and "ulimit -n" in line for line in said)


@pytest.mark.parametrize(
    ("number", "limit", "remedy"),
    [
        (errno.EMFILE, "RLIMIT_NOFILE", "raise the limit"),
        (errno.ENFILE, "fs.file-max", "sysctl -w"),
    ],
)
def test_a_lack_of_descriptors_has_a_remedy(number: int, limit: str, remedy: str) -> None:
    error = file_error(OSError(number, os.strerror(number)), "/a/b", "read")
    assert isinstance(error, LimitError)
    assert error.limit == limit and remedy in str(error)
    assert code_of(error) is Exit.LIMIT
    assert descriptor_limit(OSError(errno.ENOSPC, "")) is None
    assert lost_descriptors() is None


def test_any_other_error_names_the_file_and_is_an_oserror_too() -> None:
    error = file_error(OSError(errno.ENOSPC, "No space left on device"), "/a/b", "written")
    assert str(error) == "/a/b cannot be written: No space left on device"
    assert isinstance(error, (KjuError, OSError)) and isinstance(error, FileError)
    assert (error.errno, error.filename) == (errno.ENOSPC, "/a/b")
    assert code_of(error) is Exit.FAILURE
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.errno, again.filename) == (str(error), error.errno, error.filename)
