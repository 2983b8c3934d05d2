"""What every fuzzer's command line does: atheris guides it, or seeded random numbers do."""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  before anything is watched: it is not ours, and large

try:
    import atheris
except ImportError:
    atheris = None

Input = Callable[[bytes], None]
Invent = Callable[[random.Random], bytes]


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
    """
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
    if numbers or not atheris:
        count, seed, *_ = [*numbers, 20000, 1] if len(numbers) != 1 else [numbers[0], 1]
        source = random.Random(seed)
        for data in seeds:
            one_input(data)
        for _ in range(count):
            one_input(invent(source))
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
    atheris.Setup(arguments, one_input, **({"custom_mutator": either} if mutate else {}))
    atheris.Fuzz()
