"""The question before machines are removed names everything that is deleted."""

from __future__ import annotations

from kju.desktop.removal import Removal, in_order, question, refused, size_words

WEB = Removal(
    "web", "/home/me/machines/web", (("disk.qcow2", 3 << 30),), ("a", "b"), ("/iso/debian.iso",)
)


def test_everything_that_is_deleted_is_named() -> None:
    text = question([WEB])
    for part in (
        "Remove web?",
        "/home/me/machines/web",
        "disk.qcow2 (3.0 GiB)",
        "2 snapshots: a, b",
    ):
        assert part in text
    assert text.index("Not deleted") < text.index("/iso/debian.iso")
    assert text.endswith("This cannot be undone.")


def test_several_machines_are_named_up_to_a_bound() -> None:
    many = [WEB._replace(name=f"m{number}") for number in range(9)]
    text = question(many)
    assert "Remove 9 machines?" in text
    assert "Deleted of m0:" in text
    assert "And the same of 3 more: m6, m7, m8." in text
    assert text.count("/iso/debian.iso") == 1


def test_hostile_names_cannot_break_the_lines() -> None:
    text = question([Removal("web", "/x\ny", kept=("/tmp/\u202egnp.exe\n\nRemoved:",))])
    assert "\u202e" not in text
    assert "\\nRemoved:" in text


def test_a_machine_with_clones_is_refused_unless_they_go_too() -> None:
    base = Removal("base", "/m/base", clones=("one", "two"))
    one = Removal("one", "/m/one")
    assert "base has clones (two)" in refused([base, one])
    assert not refused([base, one, Removal("two", "/m/two")])


def test_clones_are_removed_before_the_machine_below_them() -> None:
    order = in_order(
        [Removal("a", "", clones=("b",)), Removal("b", "", clones=("c",)), Removal("c", "")]
    )
    assert order == ["c", "b", "a"]


def test_sizes_have_a_unit() -> None:
    assert size_words(0) == "0 bytes"
    assert size_words(200 << 10) == "200 KiB"
    assert size_words(5 << 40) == "5120.0 GiB"
