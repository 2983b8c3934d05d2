"""Every interleaving of the protocol, by spin: the rule holds, and each mutant is found.

surface.pml says what the properties and the definitions mean. The right protocol is searched
whole; the search of a mutant ends at its first wrong state or cycle, and has to find one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

MODEL = Path(__file__).with_name("surface.pml")

# Where nothing is wrong. The sizes are what half a minute allows; two consumers and a killed
# producer that publishes once more have 65 million states, and nothing is wrong in those either.
RIGHT = {
    "told rectangles": "LOOKS=2 UNCAPPED",
    "told rectangles, two consumers": "MODES=0 UNCAPPED CONSUMERS=2",
    "a mode change, two consumers": "LOOKS=0 UNCAPPED CONSUMERS=2",
    "a guest": "WRITES=3",
    "a guest, two consumers": "WRITES=2 LOOKS=0 MODES=0 CONSUMERS=2",
    "a producer closes and another comes": "RESTART UNCAPPED",
    "a producer is killed and another comes": "RESTART KILLED",
    "the same with two consumers": "RESTART KILLED LOOKS=0 MODES=0 CONSUMERS=2",
    "exact copies": "EXACT LOOKS=2",
}

# How spin prints the assertion of each property.
FINDINGS = {
    "equal": "!(surface[m].rests)",
    "equal when leaving": "!(surface[m].epoch)",
    "geometry": "!(later)",
    "wakes": "!(surface[m].gone)",
    "exact": "shown",
    "exact mode": "stride==(epoch",
}

MUTANTS = {
    "the surface's version is raised before the tiles'": ("VERSION_BEFORE_TILES", "equal"),
    "N is taken from a tile": ("LOOKS=2 N_FROM_TILE", "equal"),
    "N is the version after the copy": ("VERSION_AFTER_COPY", "equal"),
    "the live window is copied": ("WRITES=3 LIVE_WINDOW", "equal"),
    "a restart without a new incarnation": ("RESTART SAME_INCARNATION", "equal"),
    "the epoch is not looked at again": ("EPOCH_UNCHECKED", "geometry"),
    "the pulse is read after the scan": ("UNCAPPED PULSE_AFTER_SCAN", "wakes"),
    "one sleeper of two is woken": ("MODES=0 UNCAPPED CONSUMERS=2 ONE_IS_WOKEN", "wakes"),
    "the pulse wraps and there is no cap": ("UNCAPPED PULSE_BITS=1", "wakes"),
    "a producer is killed and there is no cap": ("UNCAPPED RESTART KILLED", "wakes"),
    "a producer that has gone is left at once": ("RESTART LEAVES_AT_ONCE", "equal when leaving"),
    "the sequence is odd after the pixels": ("EXACT LOOKS=2 ODD_TOO_LATE", "exact"),
    "the sequence is even before the version": ("EXACT LOOKS=2 EVEN_TOO_EARLY", "exact"),
    "the sequence is not read again": ("EXACT LOOKS=2 SEQUENCE_UNCHECKED", "exact"),
    "the epoch is not read again": ("EXACT LOOKS=2 EPOCH_UNCHECKED", "exact"),
    "the mode's sequence is not read again": ("EXACT LOOKS=2 MODE_UNCHECKED", "exact mode"),
}


@pytest.fixture(autouse=True)
def spin():
    if not (shutil.which("spin") and shutil.which("gcc")):
        pytest.skip("spin is not installed (Debian: apt-get install spin gcc)")


class Result(NamedTuple):
    errors: int
    found: str  # what is wrong, as spin prints it
    text: str  # all that it printed


def run(folder: Path, *command: str, fails: bool = False) -> str:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert fails or not done.returncode, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def search(
    folder: Path, definitions: str, *, progress: bool = False, optimize: str = "-O1"
) -> Result:
    """Search every state, or until the first error; *progress* searches for non-progress cycles."""
    defined = [f"-D{each}" for each in definitions.split()]
    run(folder, "spin", "-a", *defined, str(MODEL))
    # What spin writes has warnings of its own. States are compressed; 1 GB is the most.
    options = [optimize, "-w", "-DCOLLAPSE", "-DMEMLIM=1024", "-DNP" if progress else "-DSAFETY"]
    run(folder, "gcc", *options, "-o", "pan", "pan.c")
    text = run(folder, "./pan", "-m100000", *(["-l"] if progress else []))
    errors = re.search(r"errors: (\d+)$", text, re.MULTILINE)
    assert errors, text
    if errors[1] != "0":  # the steps to the error
        trail = ("-k", f"{MODEL.name}.trail")
        text += run(folder, "spin", *trail, "-pgl", *defined, str(MODEL), fails=True)
    found = re.search(r"^pan:1: (.*)", text, re.MULTILINE)
    return Result(int(errors[1]), found[1] if found else "", text)


def assert_right(result: Result) -> None:
    assert result.errors == 0, result.text
    assert "Search not completed" not in result.text  # it would say so of a depth or memory limit
    assert "max search depth" not in result.text


@pytest.mark.parametrize("definitions", RIGHT.values(), ids=RIGHT)
def test_rule_holds(tmp_path, definitions):
    result = search(tmp_path, definitions)
    assert_right(result)
    if definitions == "RESTART KILLED":  # every step of a consumer was reached
        assert re.search(r"in proctype consumer\n\s+\(0 of ", result.text), result.text


def test_every_consumer_makes_progress(tmp_path):
    assert_right(search(tmp_path, "RESTART KILLED MODES=0", progress=True))


@pytest.mark.parametrize(("definitions", "property_"), MUTANTS.values(), ids=MUTANTS)
def test_mutants_are_found(tmp_path, definitions, property_):
    result = search(tmp_path, definitions, optimize="-O0")  # the search is short
    assert result.errors == 1, result.text
    assert result.found.startswith("assertion violated"), result.text
    assert FINDINGS[property_] in result.found, result.found


def test_unchanged_version_has_nothing_to_copy(tmp_path):
    """A consumer that reads the tiles nonetheless copies for ever after a producer was killed."""
    result = search(tmp_path, "RESTART KILLED MODES=0 UNMOVED_IS_TAKEN", progress=True)
    assert result.errors == 1, result.text
    assert result.found.startswith("non-progress cycle"), result.text


def test_all_mutants_are_searched():
    marked = set(re.findall(r"^#\D*?([A-Z_]{4,})\)? /\* MUTANT", MODEL.read_text(), re.MULTILINE))
    searched = " ".join(definitions for definitions, _ in MUTANTS.values()) + " UNMOVED_IS_TAKEN"
    assert len(marked) == 14
    assert marked <= set(searched.split())
