"""Surfaces at an address, pictures for them, and calls that run in a thread."""

import threading
from pathlib import Path

import numpy as np

from kju.memory import SurfaceProducer

WIDTH, HEIGHT = 128, 96
CAPACITY = WIDTH * HEIGHT * 4
SHM = Path("/dev/shm")


def picture(seed=0, width=WIDTH, height=HEIGHT):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


class Later:
    """Runs a call in a thread, and returns its result."""

    def __init__(self, call):
        self.result = self.error = None

        def run():
            try:
                self.result = call()
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def join(self):
        self.thread.join(30)
        assert not self.thread.is_alive()
        if self.error:
            raise self.error
        return self.result


def publish(address, value=1):
    producer = SurfaceProducer.create(address, capacity=CAPACITY)
    producer.set_mode(WIDTH, HEIGHT, source=np.full((HEIGHT, WIDTH, 4), value, np.uint8))
    return producer


def notifiers():
    return [t for t in threading.enumerate() if t.name == "kju-notifier"]


def no_notifiers():
    for thread in notifiers():
        thread.join(10)  # it ends by itself after the last wait
    return not notifiers()
