"""The lines of the keys in a TOML text, which its parsers do not give. I/O-free.

Nothing is checked here: strings, comments and brackets are skipped, and a key is the text left of
an equals sign. For invalid TOML the result is a best effort.

Source:
    TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# A string is one token with whatever is in it; the long forms come first.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'"
    r"|\#[^\n]*|[\[\]{}=,\n]|[^\s\[\]{}=,\"'#]+|[ \t\r]+|.",
    re.DOTALL,
)  # fmt: skip


class Place(NamedTuple):
    """One key of a text.

    Attributes:
        key: Bare, or without its quotes; the first part of a dotted one.
        line: Where it begins, from 1.
        items: Where each item of its value begins, if that is an array.
    """

    key: str
    line: int
    items: tuple[int, ...]


def places(text: str) -> list[Place]:
    """Every key at the top of a text and every table, in order."""
    return list(_places(list(_tokens(text))))


def line_of(text: str, key: str, item: int | None = None) -> int | None:
    """The line of a key, or of one item of its array, from 1; None if it is not there."""
    for place in places(text):
        if place.key == key:
            return place.items[item] if item is not None and item < len(place.items) else place.line
    return None


def twice(text: str) -> Place | None:
    """The first key that stands there a second time, if any."""
    seen = set()
    for place in places(text):
        if place.key in seen:
            return place
        seen.add(place.key)
    return None


def dotted(text: str, most: int) -> int | None:
    """Return the first line with more than *most* dots outside of strings and comments, or None."""
    found, here = 0, 1
    for word, line in _tokens(text):
        if line != here:
            found, here = 0, line
        found += 0 if word[0] in "\"'" else word.count(".")
        if found > most:
            return line
    return None


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        word = match[0]
        if not word.startswith("#") and word.strip(" \t\r"):
            yield word, line
        line += word.count("\n")


def _places(tokens: list[tuple[str, int]]) -> Iterator[Place]:
    at, in_table = 0, False
    while at < len(tokens):
        word, line = tokens[at]
        end = _end(tokens, at)
        if word == "[":
            # [table] or [[table]]: what follows belongs to it.
            in_table = True
            # One that is only begun has no name: a text that is no TOML is looked at too.
            first = at
            while first < len(tokens) and tokens[first][0] == "[":
                first += 1
            name = tokens[first][0] if first < len(tokens) else "\n"
            if _is_key(name):
                yield Place(_bare(name), line, ())
        elif _is_key(word) and not in_table:
            yield Place(_bare(word), line, _items(tokens[at:end]))
        at = end + 1


def _end(tokens: list[tuple[str, int]], at: int) -> int:
    """The newline that ends what begins at *at*, outside every bracket; or the end."""
    depth = 0
    for index in range(at, len(tokens)):
        word = tokens[index][0]
        depth += (word in "[{") - (word in "]}")
        if word == "\n" and depth <= 0:
            return index
    return len(tokens)


def _items(statement: list[tuple[str, int]]) -> tuple[int, ...]:
    """The lines on which the items of the array behind the equals sign begin."""
    start = next((i + 1 for i, (word, _) in enumerate(statement) if word == "="), len(statement))
    if start >= len(statement) or statement[start][0] != "[":
        return ()
    found: list[int] = []
    depth, wanted = 0, True
    for word, line in statement[start:]:
        if word not in "]},\n" and wanted and depth == 1:
            found.append(line)
            wanted = False
        depth += (word in "[{") - (word in "]}")
        if word == "," and depth == 1:
            wanted = True
    return tuple(found)


def _is_key(word: str) -> bool:
    """Return whether a token can be one: a string of several lines cannot."""
    return word not in "[]{}=," and "\n" not in word


def _bare(word: str) -> str:
    """A key without quotes; of a dotted one the first part."""
    if word[0] in "\"'":
        return word.strip(word[0])
    return word.partition(".")[0]
