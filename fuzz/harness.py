"""What every fuzzer's command line does: atheris guides it, or seeded random numbers do."""

from __future__ import annotations

import contextlib
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy  # noqa: F401  before anything is watched: it is not ours, and large

try:
    import atheris
except ImportError:
    atheris = None

Input = Callable[[bytes], None]
Invent = Callable[[random.Random], bytes]


class Budget(NamedTuple):
    """What one input may cost. libFuzzer's own limits are ten seconds and gigabytes.

    Attributes:
        seconds: CPU time of this thread, with atheris watching every line.
        per_byte: The same, for each byte of the input besides.
        memory: Bytes by which the largest memory that the process ever had may grow.
    """

    seconds: float = 0.1
    per_byte: float = 20e-6
    memory: int = 64 << 20

    def check(self, one_input: Input, data: bytes) -> None:
        """Run one input, and fail where it costs more.

        An input that seems too slow is run again: the collector of garbage may have come by, or
        something was imported. Memory is measured the first time only, since it is used again.
        """
        allowed = self.seconds + self.per_byte * len(data)
        before = _peak()
        took = _cost(one_input, data)
        if (grown := _peak() - before) > self.memory:
            raise AssertionError(f"{len(data)} bytes of input took {grown >> 20} MiB of memory")
        for _ in range(AGAIN):
            if took <= allowed:
                return
            took = min(took, _cost(one_input, data))
        if took > allowed:
            raise AssertionError(
                f"{len(data)} bytes of input took {took * 1000:.0f} ms of CPU time, and"
                f" {allowed * 1000:.0f} ms are allowed"
            )


#: Times that an input is run again before it is called too slow.
AGAIN = 2


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cost(one_input: Input, data: bytes) -> float:
    begun = time.thread_time()
    one_input(data)
    return time.thread_time() - begun


def instrumented() -> Any:
    """Modules imported within are watched by atheris."""
    return atheris.instrument_imports() if atheris else contextlib.nullcontext()


def run(
    one_input: Input,
    seeds: Iterable[bytes],
    invent: Invent,
    *,
    options: tuple[str, ...] = (),
    mutate: bool = False,
    budget: Budget = Budget(),  # noqa: B008  it cannot be changed
) -> None:
    """Fuzz as the command line says.

    ``COUNT [SEED]`` runs that many invented inputs, guided by nothing. Anything else is
    atheris's own (``-runs=N``, a corpus, one file); without a corpus it starts from the seeds.

    Args:
        one_input: Takes one input; fails by raising.
        seeds: Good inputs to start from.
        invent: Makes an input from random numbers.
        options: For atheris, when it starts from the seeds.
        mutate: Have atheris take invented inputs and its own mutations by turns.
        budget: What one input may cost.
    """

    def within_budget(data: bytes) -> None:
        budget.check(one_input, data)

    seeds = list(seeds)
    for data in seeds:
        one_input(data)  # unmeasured: imports, and memory that is kept
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
    if numbers or not atheris:
        count, seed, *_ = [*numbers, 20000, 1] if len(numbers) != 1 else [numbers[0], 1]
        source = random.Random(seed)
        for data in seeds:
            within_budget(data)
        for _ in range(count):
            within_budget(invent(source))
        print(f"{count} invented inputs, seed {seed}: each was taken or refused")
        return

    def either(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            return bytes(atheris.Mutate(data, most))
        return invent(random.Random(seed))[:most]

    arguments = sys.argv
    if all(argument.startswith("-") for argument in arguments[1:]):
        # In build, and used again: libFuzzer ends the process without cleaning up.
        corpus = Path(__file__).parent.parent / "build" / "fuzz" / Path(sys.argv[0]).stem
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(data)
        # What libFuzzer finds goes to the first corpus; it is for this run only.
        found = tempfile.mkdtemp(dir=corpus.parent)
        arguments = [*arguments, *options, found, str(corpus)]
    atheris.Setup(arguments, within_budget, **({"custom_mutator": either} if mutate else {}))
    atheris.Fuzz()
