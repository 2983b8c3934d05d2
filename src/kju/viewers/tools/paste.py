"""Plan of a paste: the characters that are typed in a guest, and the question before. I/O-free.

A guest without an agent takes a text from the clipboard only as keys. The keys depend on the
guest's keyboard layout, which nothing on this side can see: the user names it once per machine.
Everything that may go wrong is known before the first key is sent: characters that the layout
lacks, a text that is longer than expected, and line ends, which are the Enter key.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

from ...errors import LimitError
from ...keys.keyboards import LAYOUTS
from ...keys.layouts import layout as find_layout

#: Characters above which the text is shown before it is typed.
PREVIEW_ABOVE = 200
#: Characters of one text; a PS/2 keyboard takes 20 minutes for them.
MAX_CHARACTERS = 1_000_000
#: Characters that are sent together. The progress advances by this many.
PIECE = 32
#: Missing characters that a message lists.
MAX_LISTED = 12
#: Machines that a message names.
MAX_NAMED = 4
#: Steps per second of the slowest and the fastest keyboard, measured: USB, and PS/2 or virtio.
_SLOWEST, _FASTEST = 50, 1300


class MissingCharacter(NamedTuple):
    """A character that the layout has no key for.

    Attributes:
        character: The character.
        line: Its first line, from 1.
        column: Its first column in that line, from 1.
        times: Number of its occurrences.
    """

    character: str
    line: int
    column: int
    times: int

    @property
    def words(self) -> str:
        """The character, its code point and its place, as a message shows them."""
        code = f"U+{ord(self.character):04X}"
        shown = f"{self.character} ({code})" if self.character.isprintable() else code
        times = f", {self.times} times" if self.times > 1 else ""
        return f"{shown} in line {self.line}, column {self.column}{times}"


@dataclass(frozen=True)
class PastePlan:
    """A text to type in a guest.

    Use `make`, which normalises the text.

    Attributes:
        text: The text; its line ends are newlines.
        layout: The name of the guest's keyboard layout.
    """

    text: str
    layout: str

    @classmethod
    def make(cls, text: str, layout: str) -> Self:
        """Plan the typing of a text.

        Every kind of line end becomes one newline. A text with characters that the layout lacks is
        composed first (Unicode NFC): an e with a combining accent is typed as é. NUL is dropped;
        some programs end a text in the clipboard with it.

        Raises:
            UsageError: No layout has this name.
            LimitError: The text is too long.
        """
        if len(text) > MAX_CHARACTERS:
            raise LimitError(
                f"the text has {len(text):,} characters, and at most {MAX_CHARACTERS:,} are typed;"
                " copy the file into the guest instead",
                "characters of a text", MAX_CHARACTERS, len(text),
            )  # fmt: skip
        plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
        found = find_layout(layout)
        if any(character not in found.chords for character in plain):
            plain = unicodedata.normalize("NFC", plain)
        return cls(plain, found.name)

    @cached_property
    def missing(self) -> tuple[MissingCharacter, ...]:
        """The characters that the layout lacks, in the order of the text."""
        chords = find_layout(self.layout).chords
        found: dict[str, MissingCharacter] = {}
        line, begin = 1, 0
        for at, character in enumerate(self.text):
            if character not in chords:
                first = found.get(character) or MissingCharacter(character, line, at - begin + 1, 0)
                found[character] = first._replace(times=first.times + 1)
            if character == "\n":
                line, begin = line + 1, at + 1
        return tuple(found.values())

    def without_missing(self) -> PastePlan:
        """Return the same plan without the characters that the layout lacks."""
        lacking = {each.character for each in self.missing}
        return PastePlan("".join(c for c in self.text if c not in lacking), self.layout)

    @property
    def _enters(self) -> int:
        """The number of presses of Enter."""
        return self.text.count("\n")

    @property
    def needs_question(self) -> bool:
        """True where the user must see the text first."""
        return bool(self.missing) or len(self.text) > PREVIEW_ABOVE or self._enters > 0

    @cached_property
    def steps(self) -> int:
        """Number of presses and releases, without the modifiers that stay down."""
        chords = find_layout(self.layout).chords
        return sum(2 * len(chords[c]) for c in self.text if c in chords)

    @property
    def summary(self) -> str:
        """Length, Enter keys and duration, as the question shows them."""
        parts = [counted(len(self.text), "character")]
        if self._enters:
            times = "once" if self._enters == 1 else f"{self._enters:,} times"
            parts.append(f"Enter is pressed {times}")
        slow, fast = self.steps / _SLOWEST, self.steps / _FASTEST
        if slow >= 10:
            parts.append(f"{duration(fast)} (USB keyboard: {duration(slow)})")
        return "; ".join(parts)

    @property
    def warning(self) -> str:
        """The characters that cannot be typed, as the question names them; empty without any."""
        if not self.missing:
            return ""
        listed = "; ".join(each.words for each in self.missing[:MAX_LISTED])
        more = len(self.missing) - MAX_LISTED
        rest = f"; and {more} more" if more > 0 else ""
        title = LAYOUTS.get(self.layout, self.layout)
        return f"No key of the layout {title} types: {listed}{rest}"

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of at most `PIECE` characters.

        A piece ends after a newline: a program that reads lines has its line then.
        """
        begin = 0
        while begin < len(self.text):
            end = min(begin + PIECE, len(self.text))
            if (newline := self.text.find("\n", begin, end)) >= 0:
                end = newline + 1
            yield self.text[begin:end]
            begin = end


class GroupPlan:
    """The typing of one text in one or several machines, each with its own layout.

    Args:
        text: The text.
        layouts: The name of the layout of each machine.

    Raises:
        UsageError: No layout has such a name.
        LimitError: The text is too long.

    Attributes:
        layouts: The same.
    """

    def __init__(self, text: str, layouts: Mapping[str, str]) -> None:
        self.layouts = dict(layouts)
        self._plans = {name: PastePlan.make(text, name) for name in set(layouts.values())}

    @property
    def plans(self) -> dict[str, PastePlan]:
        """The plan of each machine."""
        return {machine: self._plans[layout] for machine, layout in self.layouts.items()}

    @property
    def is_complete(self) -> bool:
        """True where every layout has all characters, and there are some."""
        return all(plan.text and not plan.missing for plan in self._plans.values())

    @property
    def lacks(self) -> bool:
        """True where a layout lacks characters."""
        return any(plan.missing for plan in self._plans.values())

    @property
    def needs_question(self) -> bool:
        """True where the user must see the text first."""
        return any(plan.needs_question for plan in self._plans.values())

    def without_missing(self) -> GroupPlan:
        """Return the same plan; each machine's text lacks what its layout lacks."""
        plan = GroupPlan("", self.layouts)
        plan._plans = {name: each.without_missing() for name, each in self._plans.items()}
        return plan

    @property
    def summary(self) -> str:
        """Length, Enter keys and duration of the longest, as the question shows them."""
        longest = max(self._plans.values(), key=lambda plan: plan.steps)
        count = len(self.layouts)
        return longest.summary + (f"; in each of {count} machines" if count > 1 else "")

    @property
    def warning(self) -> str:
        """The characters that cannot be typed, by layout, with the machines; empty without any."""
        found = []
        for layout, plan in sorted(self._plans.items()):
            if plan.missing:
                names = [name for name, own in self.layouts.items() if own == layout]
                where = f" (in {_listed(names)})" if len(self.layouts) > 1 else ""
                found.append(plan.warning + where)
        return "\n".join(found)

    @property
    def layout_words(self) -> str:
        """The layouts and their machines, for a choice: ``English: web, db; German: mail``."""
        found = []
        for layout in sorted(set(self.layouts.values())):
            names = [name for name, own in self.layouts.items() if own == layout]
            found.append(f"{LAYOUTS.get(layout, layout)}: {_listed(names)}")
        return "; ".join(found)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def layout_choices() -> list[tuple[str, str]]:
    """Return the name and title of each layout, sorted by title."""
    return sorted(LAYOUTS.items(), key=lambda each: each[1])


def preferred_layout(remembered: Sequence[str], locale: str) -> str:
    """Return the layout to propose: the first known one that is remembered, else by the locale.

    Args:
        remembered: Names, the most specific first; empty ones are ignored.
        locale: A locale's name, such as ``de_CH.UTF-8``.
    """
    for name in remembered:
        if name in LAYOUTS:
            return name
    language, _, country = locale.partition(".")[0].lower().partition("_")
    by_country = {"gb": "en-gb", "ch": "fr-ch" if language == "fr" else "de-ch", "br": "pt-br"}
    by_country |= {"be": "fr-be", "dk": "da", "ca": "fr-ca" if language == "fr" else "en-us"}
    for name in (by_country.get(country, ""), language):
        if name in LAYOUTS:
            return name
    return {"sv": "sv", "nb": "no", "nn": "no", "el": "en-us"}.get(language, "en-us")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 character``, ``2,000 characters``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a duration for a user: ``8 s``, ``3 min``."""
    if seconds < 100:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"
