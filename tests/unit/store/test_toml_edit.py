"""Keys of a definition's text are changed; every other byte stays."""

from __future__ import annotations

import random

import pytest

from kju.store.machine_toml import KEYS, decode
from kju.store.toml_edit import changed, known_part, unknown_keys

TEXT = """\
# my machine
image = "disk.qcow2"   # the disk

memory="2G"
disks = [
    "a.iso",  # first
    "b.iso",
]
arguments = ['-boot', 'menu=on']
future.key = 1
"quoted" = 2 # new

# a table of another version
[sound] # comment
memory = "not a key"
[[extra]]
x = [1,
2]
"""


def test_a_value_is_changed_in_its_place() -> None:
    assert changed(TEXT, {"memory": "4G"}) == TEXT.replace('"2G"', '"4G"')
    assert changed(TEXT, {"image": "c.iso"}) == TEXT.replace('"disk.qcow2"', '"c.iso"')


def test_a_list_is_replaced_as_a_whole() -> None:
    old = TEXT[TEXT.index("[\n") : TEXT.index("]\n") + 1]
    assert changed(TEXT, {"disks": []}) == TEXT.replace(old, "[]")


def test_a_key_is_removed_with_its_line_and_its_comment_stays() -> None:
    assert changed(TEXT, {"memory": None}) == TEXT.replace('memory="2G"\n', "", 1)
    assert changed(TEXT, {"image": None}) == TEXT.replace('image = "disk.qcow2"   #', "#")
    assert changed("cpus = 2", {"cpus": None}) == ""


def test_a_new_key_stands_after_the_last_one_before_the_tables() -> None:
    line = '"quoted" = 2 # new\n'
    assert changed(TEXT, {"cpus": 4}) == TEXT.replace(line, line + "cpus = 4\n")
    assert changed("", {"cpus": 4}) == "cpus = 4\n"
    assert changed("# a\n[t]\n", {"cpus": 4}) == "# a\ncpus = 4\n[t]\n"
    assert changed("a = 1", {"cpus": 4}) == "a = 1\ncpus = 4\n"


def test_no_change_keeps_every_byte() -> None:
    for text in (TEXT, "", "\r\n", "a=1\r\n# end", TEXT.replace("\n", "\r\n")):
        assert changed(text, {}) == text
        assert changed(text, {"devices": None}) == text


def test_unknown_keys_and_tables_are_named_and_left_out_of_the_known_part() -> None:
    assert unknown_keys(TEXT) == ["future.key", "quoted", "[sound]", "[[extra]]"]
    definition = decode(known_part(TEXT), "machine.toml", "m")
    assert (definition.memory, definition.disks) == ("2G", ["a.iso", "b.iso"])
    assert unknown_keys('image = "x"') == []


@pytest.mark.parametrize("seed", range(20))
def test_random_changes_are_read_back_and_keep_the_rest(seed: int) -> None:
    rng = random.Random(seed)
    possible = {
        "memory": ["1G", "512"],
        "cpus": [1, 1024],
        "disks": [[], ["a", "# no comment", "]"]],
        "arguments": [["-m", "'"], []],
        "trust_disk": [True, False],
        "image": ["/x/y.iso", 'a"b', "\\#\n[x]", "é"],
    }
    text, wanted = TEXT, {}
    for _ in range(30):
        key = rng.choice(list(possible))
        value = rng.choice([None, *possible[key]])
        text = changed(text, {key: value})
        wanted[key] = value
        found = decode(known_part(text), "machine.toml", "m")
        default = decode("", "machine.toml", "m")
        for name, kept in wanted.items():
            assert getattr(found, name) == (getattr(default, name) if kept is None else kept)
        assert text.startswith("# my machine\n")
        assert text.endswith(TEXT[TEXT.index("\n# a table") :])
        assert "future.key = 1\n" in text
    assert set(possible) <= set(KEYS)
