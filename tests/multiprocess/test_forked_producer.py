"""A producer that has forked: its child inherits the lock but is not the producer."""

import os
import signal
import subprocess
import sys

import pytest

import kju
from kju.errors import ProducerGoneError

PROGRAM = """
import os, sys
from kju.memory import SurfaceProducer
producer = SurfaceProducer.create(sys.argv[1], capacity=1 << 16)
producer.set_mode(64, 64)
child = os.fork()
if not child:
    sys.stdin.buffer.read()
    os._exit(0)
print(child, flush=True)
sys.stdin.buffer.read()
"""


def test_end_of_the_producer_is_noticed_while_its_child_runs(tmp_path):
    producer = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "s")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    child = int(producer.stdout.readline())
    try:
        with kju.Surface(tmp_path / "s") as surface:
            producer.kill()
            producer.wait()
            os.kill(child, 0)
            with pytest.raises(ProducerGoneError, match="has died"):
                surface.wait(timeout=60)
    finally:
        os.kill(child, signal.SIGKILL)
        producer.communicate()
