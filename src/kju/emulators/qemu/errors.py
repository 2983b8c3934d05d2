"""QEMU's last output as one error message, the error first. I/O-free.

QEMU begins an error with its own name; lines of advice follow without it. Advice that names an
option which kju refuses is dropped, and so is the warning about an image whose format QEMU probes,
which kju does on purpose (see `image`).

Source:
    util/error-report.c of QEMU (error_report, error_printf); block.c (the warning).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from .arguments.conflicts import CONFLICTS

#: The number of last lines that are read: a fatal error is followed by all registers.
LINES = 60
#: Lines of a message besides the error and its advice.
_OTHERS = 3

_PROBED = re.compile(
    r"WARNING: Image format was not specified for .* and probing guessed raw\."
    r"|\s*Automatically detecting the format is dangerous for raw images, .*"
    r"|\s*Specify the 'raw' format explicitly to remove the restrictions\."
)
_HARMLESS = re.compile(r"warning: |info: ")
_LIST = re.compile(r"[Uu]se -([\w-]+) (?:help|\?) to list .*")
_OPTION = re.compile(r"(?<![\w-])--?([a-z][\w-]*)")


def message(said: Sequence[str], program: str) -> str:
    """Return the error, then advice, then other output.

    Args:
        said: The lines of QEMU's output, at least one.
        program: The path by which it was started.
    """
    names = (f"{program}: ", f"{PurePath(program).name}: ", "qemu: ")
    lines = [line for line in said if not _PROBED.fullmatch(line)] or list(said)
    bare = [_without(line, names) for line in lines]
    errors = [
        index
        for index, line in enumerate(lines)
        if line.startswith(names) and not _HARMLESS.match(bare[index])
    ]
    at = errors[-1] if errors else len(lines) - 1
    after = [index for index in range(at + 1, len(lines)) if not lines[index].startswith(names)]
    # A fatal error of the processor is followed by its registers.
    followed = [] if bare[at].startswith("fatal: ") else after
    advice = [found for index in followed if (found := _advice(bare[index], program))]
    others = [text for index, text in enumerate(bare) if index != at and index not in after]
    others = others[-_OTHERS:]
    text = "; ".join([bare[at], *advice])
    return f"{text} (QEMU also said: {' | '.join(others)})" if others else text


def _without(line: str, names: tuple[str, ...]) -> str:
    for name in names:
        line = line.removeprefix(name)
    return line


def _advice(line: str, program: str) -> str:
    """Return a line of advice; empty if it cannot be followed here."""
    if found := _LIST.fullmatch(line):
        return f"to list them: {program} -{found[1]} help"
    if any(name in CONFLICTS for name in _OPTION.findall(line)):
        return ""
    return line.strip()
