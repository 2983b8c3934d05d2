"""Processes for tests: each is a child that prints lines of JSON (actor.py)."""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import kju

HERE = Path(__file__).parent
SOURCE = Path(kju.__file__).resolve().parent.parent


class Actor:
    """A child, killed at the latest when the test ends."""

    def __init__(self, *arguments, command=None):
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONFAULTHANDLER": "1"}
        self.process = subprocess.Popen(
            command or [sys.executable, str(HERE / "actor.py"), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.pid = self.process.pid

    def hear(self):
        """Return the child's next line; its end fails the test."""
        line = self.process.stdout.readline()
        assert line, f"{self.process.args[1:]} ended with {self.process.wait(30)}"
        return json.loads(line)

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(30)

    def end(self):
        self.process.stdin.close()
        return self.process.wait(60)


@pytest.fixture
def actor():
    actors = []

    def start(*arguments, **how):
        actors.append(Actor(*arguments, **how))
        return actors[-1]

    yield start
    for one in actors:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(30)
        one.process.stdin.close()
        one.process.stdout.close()


@pytest.fixture(params=["file", "posix", "sysv", "memfd"])
def address(request, tmp_path):
    name = f"kju-test-{uuid.uuid4().hex}"
    yield {
        "file": str(tmp_path / "screen"),
        "posix": f"posix:/{name}",
        "sysv": "sysv:",
        "memfd": "memfd:",
    }[request.param]
    Path("/dev/shm", name).unlink(missing_ok=True)
