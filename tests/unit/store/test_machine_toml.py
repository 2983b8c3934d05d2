"""A machine's file: what is taken, and that an error names file, line and key."""

from __future__ import annotations

import time
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kju.errors import DefinitionError, UsageError
from kju.store.machine_toml import (
    MAX_TEXT,
    Definition,
    decode,
    first_dotted_line,
    key_places,
    line_of,
    repeated_key,
    write,
)

WHOLE = """\
# a machine
name = "web"
image = "disk.qcow2"
disks = [
    "more.qcow2",   # a comment, with [brackets] and "quotes"
    'cd.iso',
]
memory = "2G"
cpus = 2
firmware = "uefi"
network = "none"
devices = ["virtio-rng-pci"]
arguments = ["-append", \"\"\"
two
lines = 1
\"\"\"]
"""


def test_a_definition_with_every_key() -> None:
    found = decode(WHOLE, "f", "web")
    assert found.disks == ["more.qcow2", "cd.iso"]
    assert (found.memory, found.cpus, found.firmware, found.network) == ("2G", 2, "uefi", "none")
    assert found.arguments == ["-append", "two\nlines = 1\n"]
    assert decode("", "f", "web") == Definition()


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("cpus = 1\n\ncolour = 2\n", 3, "colour", "unknown key"),
        ("# c\n[disk]\na = 1\n", 2, "disk", "unknown key"),
        ("memory = 2\n", 1, "memory", "a text"),
        ("\nmemory = 'much'\n", 2, "memory", "such as 2G"),
        ("name = 'web'\ncpus = 'two'\n", 2, "cpus", "a whole number"),
        ("cpus = 2000\n", 1, "cpus", "1024"),
        ("cpus = -1\n", 1, "cpus", ">= 0"),
        ("name = 'other'\n", 1, "name", "'web'"),
        ("disk_bus = 'sata'\n", 1, "disk_bus", "'sd' or 'floppy'"),
        ("trust_disk = 1\n", 1, "trust_disk", "true or false"),
        ("network = 'tap'\n", 1, "network", "'user' or 'none'"),
        ("disks = 'a'\n", 1, "disks", "a list"),
        ("disks = [\n  'a',\n  7,\n]\n", 3, "disks", "a text"),
        ("disks = ['a', # [\n '''b\n''', ['c']]\n", 3, "disks", "a text"),
        ("disks = [\n 'a',\n '',\n]\n", 3, "disks", "empty"),
        ("cpus = 1\nmemory = '1G'\ncpus = 2\n", 3, "cpus", "twice"),
        ("cpus = 1\nmemory = \n", 2, "memory", "invalid TOML"),
        ("cpus = 1\n\nmemory = '1G\n", 3, "memory", "invalid TOML"),
        ("disks = [\n'a',\n", 2, "disks", "invalid TOML"),
        ("arguments = [\n'a\\u0000'\n,\"\\u0000\"]\n", 3, "arguments", "zero byte"),
        ("firmware = ''\n", 1, "firmware", "'uefi'"),
    ],
)
def test_an_error_names_file_line_and_key(text: str, line: int, key: str, says: str) -> None:
    with pytest.raises(DefinitionError, match=f"^/m.toml:{line}: {key}") as caught:
        decode(text, "/m.toml", "web")
    assert says in str(caught.value)
    assert (caught.value.file, caught.value.line, caught.value.key) == ("/m.toml", line, key)
    assert isinstance(caught.value, UsageError)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)


@given(
    st.builds(
        Definition,
        image=st.none() | texts.filter(bool),
        disks=st.lists(texts.filter(bool), max_size=3),
        cpus=st.none() | st.integers(1, 1024),
        network=st.sampled_from(["user", "none"]),
        arguments=st.lists(texts, max_size=4),
        base=st.none() | texts.filter(bool),
    )
)
def test_a_written_definition_is_read_back(definition: Definition) -> None:
    assert decode(write(definition), "f", "web") == definition


def test_an_empty_text_and_no_processors_stand_for_the_default() -> None:
    text = "".join(
        f'{key} = ""\n' for key in ("name", "image", "disk_bus", "memory", "qemu", "base")
    )
    assert decode(f"{text}cpus = 0\n", "f", "web") == Definition()


literal = st.text(st.characters(exclude_characters="'\0", exclude_categories=("Cc", "Cs")))
values = st.one_of(
    literal.map(lambda t: f"'{t}'"),
    literal.map(lambda t: f"'''\n{t}\n'''"),
    st.lists(literal, max_size=3).map(
        lambda ts: "[\n" + "".join(f"'{t}', # ]\n" for t in ts) + "]"
    ),
    st.integers().map(str),
)


@given(st.lists(values, max_size=6), st.lists(st.sampled_from(["", "# x = [", "  "]), max_size=3))
def test_lines_are_found_after_any_other_text(before: list[str], blank: list[str]) -> None:
    text, wanted = "", []
    for number, value in enumerate(before):
        text += "".join(f"{line}\n" for line in blank)
        wanted.append((f"k{number}", text.count("\n") + 1))
        text += f"k{number} = {value}\n"
    assert [(p.key, p.line) for p in key_places(text)] == wanted
    assert all(line_of(text, key) == line for key, line in wanted)


pieces = st.sampled_from([*"[]{}=,\n#.'\" 1", "'''", '"""', "name", "disks", "cpus = 1\n", "a"])


@given(st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join)))
@example("[")
@example("[[")
@example("[a]\nb=1\n[")
@example("[\n[")
@example(f"cpus = {'1' * 5000}")
def test_any_text_is_a_definition_or_refused(text: str) -> None:
    try:
        decode(text, "f", "web")
    except DefinitionError as error:
        assert 1 <= error.line <= text.count("\n") + 1
    assert not any("\n" in place.key for place in key_places(text))


SIZE = 64 << 10
BOMBS = {
    "dotted key": "a" + ".a" * (SIZE // 2) + " = 1",
    "dotted key with spaces": "a" + " . a" * (SIZE // 4) + " = 1",
    "dotted key in a table": "x = {a" + ".a" * (SIZE // 2) + " = 1}",
    "dotted heading": "[a" + ".a" * (SIZE // 2) + "]",
    "quoted parts": '"a"' + '."a"' * (SIZE // 4) + " = 1",
    "open arrays": "x = " + "[" * SIZE,
    "arrays in arrays": "x = " + "[" * (SIZE // 2) + "]" * (SIZE // 2),
    "tables in tables": "x = " + "{a=" * (SIZE // 3),
    "headings": "[a]\n" * (SIZE // 4),
    "open headings": "[" * SIZE,
    "other headings": "".join(f"[a{n}]\n" for n in range(SIZE // 8)),
    "one key": "cpus = 1\n" * (SIZE // 9),
    "open text": 'image = """' + "\n" * SIZE,
    "open texts": '"""' * (SIZE // 3),
    "other open texts": "''' " * (SIZE // 4),
    "backslashes": 'image = """' + "\\\\" * (SIZE // 2),
    "number": "cpus = " + "1" * SIZE,
    "many arguments": "arguments = [" + '"a",' * (SIZE // 4) + "]",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_text_that_is_costly_to_read_is_refused_in_time(text: str) -> None:
    begun = time.thread_time()
    with pytest.raises(DefinitionError):
        decode(text, "f", "web")
    assert time.thread_time() - begun < 2


def test_a_text_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(DefinitionError, match="longer than 1048576"):
        decode("#" * (MAX_TEXT + 1), "f", "web")
    assert decode("#" * MAX_TEXT, "f", "web") == Definition()


def test_dots_in_strings_are_not_counted() -> None:
    dots = "." * 200
    assert decode(f'image = "{dots}"  # {dots}\ncpus = 1', "f", "web").image == dots


TEXT = '''# name = "no"
cpus = 2
args = [
  "a", # comment, with a comma
  """b
  c""",
]
"memory" = "key = 1"
disks.first = 1

[serial]
cpus = 3
'''


@pytest.mark.parametrize(
    ("key", "item", "line"),
    [
        ("cpus", None, 2),
        ("args", None, 3),
        ("args", 0, 4),
        ("args", 1, 5),
        ("args", 2, 3),  # no such item: the line of the key
        ("memory", None, 8),
        ("disks", None, 9),
        ("serial", None, 11),
        ("name", None, None),
        ("key", None, None),
    ],
)
def test_the_line_of_a_key_or_an_item(key: str, item: int | None, line: int | None) -> None:
    assert line_of(TEXT, key, item) == line


def test_keys_of_a_table_are_not_keys_of_the_text() -> None:
    assert [place.key for place in key_places(TEXT)] == [
        "cpus",
        "args",
        "memory",
        "disks",
        "serial",
    ]


def test_the_second_of_two_keys_is_found() -> None:
    found = repeated_key("a = 1\nb = 2\n'a' = 3\n")
    assert found is not None and (found.key, found.line) == ("a", 3)
    assert repeated_key(TEXT) is None


def test_dots_are_counted_in_each_line_outside_of_strings_and_comments() -> None:
    assert first_dotted_line("a.b = 1\nc.d.e = 2\n", 1) == 2
    assert first_dotted_line("a = '....' # ....\nb.c = 1\n", 1) is None


@given(st.text(alphabet="ab.=[]{}\"'#\\,\n 1", max_size=60))
def test_any_text_has_places_in_order_and_all_keys_of_valid_toml(text: str) -> None:
    found = key_places(text)
    lines = [place.line for place in found]
    assert lines == sorted(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
    try:
        valid = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert {place.key for place in found} >= set(valid)
