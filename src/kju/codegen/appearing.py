"""The screen between two steps: the text that has appeared, or a change without one."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from ..vision.text import Line
from .places import quoted
from .reading import ReadFrame

#: A change of a smaller share of the screen is a cursor, or a button under the pointer.
MIN_CHANGED = 0.002
# Seconds of stillness that a script waits for, and the wait for which it has a timeout of its own.
_STILL, _LONG_WAIT = 0.5, 10.0
# A recognised text that must appear again: the least confidence of its words, and its letters.
_SURE, _MIN_LETTERS = 0.8, 3
_MAX_WORDS = 6
_PASSWORD = re.compile(
    r"passw|passphrase|kennwort|\bpin\b|contrase|mot de passe|parola|senha|wachtwoord|\u043f\u0430"
    r"\u0440\u043e\u043b|\u5bc6\u7801|\u30d1\u30b9\u30ef\u30fc\u30c9",
    re.IGNORECASE,
)


class Appeared(NamedTuple):
    """The condition that a script waits for before its next step.

    Attributes:
        text: The text that has appeared; None waits for stillness.
        number: Its number on the screen, where it was there before; None is any.
    """

    text: str | None
    number: int | None = None

    def code(self, seconds: float) -> str:
        """Return the statement.

        Args:
            seconds: The time that the recorded guest took. The script waits three times as long, or
                for its default timeout.
        """
        timeout = ""
        if seconds > _LONG_WAIT:
            timeout = f"timeout={math.ceil(seconds * 3 / 10) * 10}"
        if self.text is None:
            return f"screen.wait_stable({', '.join(filter(None, (f'{_STILL:g}', timeout)))})"
        check = "to_be_visible" if self.number is None else "to_have_count"
        values = ", ".join(filter(None, (str(self.number or ""), timeout)))
        return f"kju.expect(screen.text({quoted(self.text)})).{check}({values})"


def appeared(before: ReadFrame, after: ReadFrame, typed: str = "") -> Appeared | None:
    """Return the condition for a change of the screen; None if next to nothing has changed.

    The lowest new text is used: the prompt of a console, the buttons of a dialog. Texts with digits
    are not used, as dates and times differ in the next run.

    Args:
        before: The screen before a step.
        after: The screen before the next step.
        typed: The text that the step typed, which the screen may show.
    """
    if before.differs(after) < MIN_CHANGED and not after.is_exact:
        return None
    again: Appeared | None = None
    for line in reversed(after.text.lines):
        for words in _lasting(line):
            if _is_echo(words, typed):
                continue
            # A part of the typed text is on the screen before the guest has answered.
            known = len(before.find(words)) + typed.count(words)
            number = len(after.find(words))
            if number and not known:
                return Appeared(words)
            if after.is_exact and number > known and again is None:
                again = Appeared(words, number)
    if again is not None:
        return again
    return Appeared(None) if before.differs(after) >= MIN_CHANGED else None


def _lasting(line: Line) -> list[str]:
    """Return the parts of a line that the next run shows as well: texts without digits."""
    found: list[str] = []
    for phrase in reversed(line.phrases):
        runs: list[list[str]] = [[]]
        for word in phrase.words:
            if word.confidence < _SURE or any(c.isdigit() for c in word.text):
                runs.append([])
            else:
                runs[-1].append(word.text)
        best = " ".join(max(runs, key=lambda words: len(" ".join(words)))[:_MAX_WORDS])
        if sum(c.isalpha() for c in best) >= _MIN_LETTERS:
            found.append(best)
    return found


def _is_echo(words: str, typed: str) -> bool:
    """Check whether a text shows a typed line: all of it, or its begin.

    The begin is at the end of a text, after the prompt: a number, a gap or the end of the row cuts
    the text there. A script that waited for it would type on before the guest has answered.
    """
    shown = words.split()
    ends = [" ".join(shown[first:]) for first in range(len(shown))]
    for line in (" ".join(line.split()) for line in typed.split("\n")):
        if line and (f" {line} " in f" {words} " or any(line.startswith(end) for end in ends)):
            return True
    return False


def asks_for_password(before: ReadFrame, after: ReadFrame, typed: str) -> bool:
    """Check whether a text that was typed may be a password: asked for as one, and not shown.

    Args:
        before: The screen before the text was typed.
        after: The screen afterwards.
        typed: The text.
    """
    texts = [line.text for line in before.text.lines]
    if before.is_exact:  # a prompt is at the end of a console's last line
        texts = [text for text in texts[-1:] if text.rstrip().endswith((":", "?", ">"))]
    if not any(map(_PASSWORD.search, texts)):
        return False
    secret = typed.strip()
    return bool(secret) and not any(secret in line.text for line in after.text.lines)
