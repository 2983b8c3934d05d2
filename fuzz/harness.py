"""The command line of every fuzzer: guided by atheris, or by seeded random numbers."""

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
    """Limits of the cost of one input. libFuzzer's own are ten seconds and gigabytes.

    Attributes:
        seconds: CPU time of this thread, with atheris tracing every line.
        per_byte: Additional CPU time for each byte of the input.
        memory: Bytes by which the process's peak memory may grow.
    """

    seconds: float = 0.1
    per_byte: float = 20e-6
    memory: int = 64 << 20

    def check(self, one_input: Input, data: bytes) -> None:
        """Run one input, and fail if it costs more.

        An input that seems too slow is run again, because garbage collection or an import may have
        been the reason. Memory is measured the first time only, since it is reused.
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
                f"{len(data)} bytes of input took {took * 1000:.0f} ms of CPU time; the limit"
                f" is {allowed * 1000:.0f} ms"
            )


#: Number of repetitions before an input counts as too slow.
AGAIN = 2


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cost(one_input: Input, data: bytes) -> float:
    begun = time.thread_time()
    one_input(data)
    return time.thread_time() - begun


def instrumented() -> Any:
    """Return a context in which atheris instruments the imported modules."""
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
    """Fuzz with the options of the command line.

    ``COUNT [SEED]`` runs that many random inputs without coverage. All other options are atheris's
    (``-runs=N``, a corpus, one file); without a corpus it starts from the seeds.

    Args:
        one_input: Runs one input; raises on failure.
        seeds: Valid inputs to start from.
        invent: Makes an input from random numbers.
        options: Options of atheris, if it starts from the seeds.
        mutate: Let atheris alternate between random inputs and its own mutations.
        budget: Limits of the cost of one input.
    """

    def within_budget(data: bytes) -> None:
        budget.check(one_input, data)

    seeds = list(seeds)
    for data in seeds:
        one_input(data)  # not measured: imports, and memory that is kept
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
    if numbers or not atheris:
        count, seed, *_ = [*numbers, 20000, 1] if len(numbers) != 1 else [numbers[0], 1]
        source = random.Random(seed)
        for data in seeds:
            within_budget(data)
        for _ in range(count):
            within_budget(invent(source))
        print(f"{count} invented inputs, seed {seed}: each was accepted or rejected")
        return

    def either(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            return bytes(atheris.Mutate(data, most))
        return invent(random.Random(seed))[:most]

    arguments = sys.argv
    if all(argument.startswith("-") for argument in arguments[1:]):
        # In build, and reused: libFuzzer ends the process without cleaning up.
        corpus = Path(__file__).parent.parent / "build" / "fuzz" / Path(sys.argv[0]).stem
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(data)
        # libFuzzer writes new inputs to the first corpus, which is for this run only.
        found = tempfile.mkdtemp(dir=corpus.parent)
        arguments = [*arguments, *options, found, str(corpus)]
    atheris.Setup(arguments, within_budget, **({"custom_mutator": either} if mutate else {}))
    atheris.Fuzz()
