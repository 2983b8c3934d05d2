"""The tree of snapshots: parents, the current one, removal, and files of unknown origin."""

from __future__ import annotations

import random

import pytest

from kju.errors import FileError
from kju.store.snapshot_tree import SnapshotId, SnapshotTree, decode, encode

A, B, C, D = (SnapshotId(tag, float(time)) for time, tag in enumerate("abcd"))


def grown() -> SnapshotTree:
    """Return a tree: b and d hang on a, c on b; d is the current one."""
    return SnapshotTree().saved(A).saved(B).saved(C).loaded(A).saved(D)


def test_parent_is_the_snapshot_saved_or_loaded_last() -> None:
    assert grown() == ({A: None, B: A, C: B, D: A}, D)


def test_snapshot_of_unknown_origin_has_no_parent_and_can_be_one() -> None:
    assert SnapshotTree().loaded(B).saved(C) == ({B: None, C: B}, C)


def test_second_load_keeps_the_parent() -> None:
    tree = grown().loaded(C)
    assert tree.parents == grown().parents
    assert tree.current == C


def test_children_of_a_removed_snapshot_hang_on_its_parent() -> None:
    assert grown().pruned({A, C, D}).parents == {A: None, C: A, D: A}
    assert grown().pruned({C, D}).parents == {C: None, D: None}


def test_current_moves_to_the_nearest_ancestor_that_exists() -> None:
    assert grown().pruned({A, B, C}).current == A
    assert grown().loaded(C).pruned({A}) == ({A: None}, A)
    assert grown().pruned(()) == SnapshotTree()


def test_new_snapshot_with_the_tag_of_a_removed_one_is_another() -> None:
    again = SnapshotId("a", 9.0)
    tree = grown().pruned({B, C, D}).saved(again)
    assert tree.parents == {B: None, C: B, D: None, again: D}


def test_file_has_the_whole_tree() -> None:
    rng = random.Random(1)
    tree, ids = SnapshotTree(), list[SnapshotId]()
    for number in range(200):
        tree = tree.saved(SnapshotId(f"s{number}", 1.7e9 + rng.random()))
        ids.append(tree.current)
        tree = tree.loaded(rng.choice(ids))
        if rng.random() < 0.2:
            ids.remove(rng.choice(ids)) if len(ids) > 1 else None
            tree = tree.pruned(set(ids))
        assert decode(encode(tree)) == tree
    assert len(tree.parents) == len(ids) > 100
    assert decode(encode(SnapshotTree())) == SnapshotTree()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 10_000,
        b'{"version":2,"snapshots":[],"current":-1}',
        b'{"version":1,"snapshots":[],"current":0}',
        b'{"version":1,"snapshots":[],"current":-2}',
        b'{"version":1,"snapshots":[["a",1,0]],"current":-1}',
        b'{"version":1,"snapshots":[["a",1,1],["b",1,0]],"current":-1}',
        b'{"version":1,"snapshots":[["a",1,-1],["a",1,0]],"current":-1}',
    ],
)
def test_file_that_is_no_tree_is_an_error(data: bytes) -> None:
    with pytest.raises(FileError, match="not a tree of snapshots"):
        decode(data)
