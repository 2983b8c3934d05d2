"""The rule that no process outlives a test or an interrupted run of tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import leftovers
from support.wait import until

TESTS = Path(__file__).resolve().parent.parent
#: Like a detached machine: a session of its own, and a parent that ends at once.
DETACHED = """
import subprocess, sys, time

def test_it():
    program = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"
    subprocess.run([sys.executable, '-c', program])
    print("started", flush=True)
    {then}
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs pytest on a planted test."""

    def start(then, *arguments):
        path = tmp_path / "test_planted.py"
        path.write_text(DETACHED.format(then=then))
        environment = {**os.environ, "PYTHONPATH": str(TESTS), leftovers.RUN: "planted"}
        program = (
            "import os, sys, pytest\n"
            "from support import leftovers\n"
            "leftovers.GRACE = 0.2\n"
            "leftovers.guard_run('planted')\n"
            "sys.exit(pytest.main(sys.argv[1:]))"
        )
        words = ["-q", "-s", "-p", "conftest", "-p", "no:cacheprovider", "-c", os.devnull]
        return subprocess.Popen(
            [sys.executable, "-c", program, *words, *arguments, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=tmp_path,
        )

    return start


def is_asleep():
    return any(
        "sleep 600" in words for words in leftovers.marked(leftovers.RUN, "planted").values()
    )


def test_process_that_outlives_its_test_fails_it(run):
    with run("pass") as pytest_run:
        printed = pytest_run.stdout.read()
    assert pytest_run.returncode == 1
    assert "processes outlived their test" in printed and "sleep 600" in printed
    assert not is_asleep()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_an_interrupted_run(run, number):
    with run("time.sleep(600)") as pytest_run:
        until(lambda: "started" in pytest_run.stdout.readline(), "the test started")
        assert is_asleep()
        pytest_run.send_signal(number)
        until(lambda: not is_asleep(), "the process ended")
        pytest_run.stdout.read()
