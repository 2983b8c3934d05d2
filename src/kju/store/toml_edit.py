"""Change keys of a definition's text, and keep every other byte. I/O-free.

Comments, blank lines, unknown keys, tables and the order of keys stay. Inside a value that is
changed, comments are lost.

Source:
    TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from .machine_toml import KEYS, TOKEN, key_name, toml_value


class _Statement(NamedTuple):
    """One ``key = value`` before the first table.

    Attributes:
        key: Without quotes; empty for a dotted one.
        begin: The place of its first character.
        value: The place of the value's first character.
        end: The place after the value's last character.
    """

    key: str
    begin: int
    value: int
    end: int


class _Word(NamedTuple):
    text: str
    begin: int
    end: int


def changed(text: str, values: Mapping[str, object]) -> str:
    """Return a text with these values of top-level keys.

    Args:
        text: Valid TOML.
        values: The new values; None removes a key.
    """
    statements, _ = _parsed(text)
    new = dict(values)
    # From the end, so that earlier places stay valid.
    last = statements[-1].end if statements else None
    added = "".join(
        f"{key} = {toml_value(value)}\n"
        for key, value in new.items()
        if value is not None and key not in {statement.key for statement in statements}
    )
    result = _inserted(text, added, last) if added else text
    for statement in reversed(statements):
        if statement.key not in new:
            continue
        value = new[statement.key]
        if value is None:
            result = _removed(result, statement)
        else:
            result = result[: statement.value] + toml_value(value) + result[statement.end :]
    return result


def known_part(text: str) -> str:
    """Return a text without its unknown keys and tables."""
    statements, tables = _parsed(text)
    result = text[:tables]
    for statement in reversed(statements):
        if statement.key not in KEYS:
            result = _removed(result, statement)
    return result


def unknown_keys(text: str, known: Collection[str] = KEYS) -> list[str]:
    """Return the names of unknown top-level keys and of tables, in their order."""
    statements, tables = _parsed(text)
    found = [
        s.key or text[s.begin : s.value].strip(" \t=") for s in statements if s.key not in known
    ]
    words = [word.text for word in _words(text[tables:])]
    for at, word in enumerate(words[:-1]):
        if word == "[" and (at == 0 or words[at - 1] == "\n") and words[at + 1] not in "[\n":
            found.append(f"[{words[at + 1]}]")
        elif word == "[" and at and words[at - 1] == "[" and (at == 1 or words[at - 2] == "\n"):
            found.append(f"[[{words[at + 1]}]]")
    return list(dict.fromkeys(found))


def _inserted(text: str, added: str, last: int | None) -> str:
    """Insert lines after the last statement, which ends at *last*; else before the first table."""
    if last is not None:
        line_end = text.find("\n", last)
        place = len(text) if line_end < 0 else line_end + 1
    else:
        _, tables = _parsed(text)
        place = text.rfind("\n", 0, tables) + 1 if tables < len(text) else len(text)
    before = text[:place]
    if before and not before.endswith("\n"):
        before += "\n"
    return before + added + text[place:]


def _removed(text: str, statement: _Statement) -> str:
    """Remove a statement; its line too, unless a comment remains on it."""
    begin = text.rfind("\n", 0, statement.begin) + 1
    line_end = text.find("\n", statement.end)
    end = len(text) if line_end < 0 else line_end + 1
    if text[statement.end : end].strip():
        return text[: statement.begin] + text[statement.end : end].lstrip(" \t") + text[end:]
    return text[:begin] + text[end:]


def _words(text: str) -> Iterator[_Word]:
    """Yield the tokens of a text, without blanks and comments."""
    for match in TOKEN.finditer(text):
        word = match[0]
        if not word.startswith("#") and word.strip(" \t\r"):
            yield _Word(word, match.start(), match.end())


def _parsed(text: str) -> tuple[list[_Statement], int]:
    """Return the statements before the first table, and the place where the tables begin."""
    found: list[_Statement] = []
    line: list[_Word] = []
    depth = 0
    for word in [*_words(text), _Word("\n", len(text), len(text))]:
        if word.text == "[" and not line:
            return found, word.begin
        depth += (word.text in "[{") - (word.text in "]}")
        if word.text != "\n" or depth > 0:
            line.append(word)
            continue
        equals = next((at for at, each in enumerate(line) if each.text == "="), 0)
        values = [each for each in line[equals + 1 :] if each.text != "\n"]
        if equals and values:
            key = key_name(line[0].text) if equals == 1 and "." not in line[0].text else ""
            found.append(_Statement(key, line[0].begin, values[0].begin, values[-1].end))
        line = []
        depth = 0
    return found, len(text)
