"""Folders that are made at the worst moment are watched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kju.store.watching import FolderWatch


@pytest.fixture
def watch() -> Iterator[FolderWatch]:
    with contextlib.closing(FolderWatch()) as made:
        yield made


class _Library:
    """The C library, with one call before the first watch is added."""

    def __init__(self, real: object, before: Callable[[], object]) -> None:
        self._real, self._before = real, [before]

    def __getattr__(self, name: str) -> object:
        if name == "inotify_add_watch" and self._before:
            self._before.pop()()
        return getattr(self._real, name)


def test_folder_made_just_before_its_ancestor_is_watched(watch: FolderWatch, tmp_path: Path):
    folder = tmp_path / "a" / "b"
    real = watch._libc
    watch._libc = _Library(real, lambda: folder.mkdir(parents=True))  # type: ignore[assignment]
    watch.watch(lambda: {folder})
    assert watch._folders and set(watch._folders.values()) == {folder}
    watch.read()
    (folder / "file").write_text("x")
    assert watch.read()


def test_folder_listed_after_the_first_look_is_watched(watch: FolderWatch, tmp_path: Path):
    made = tmp_path / "made"
    watch._libc = _Library(watch._libc, made.mkdir)  # type: ignore[assignment]
    watch.watch(lambda: {tmp_path, *tmp_path.iterdir()})
    watch.read()
    (made / "file").write_text("x")
    assert watch.read()


def test_missing_folder_is_reported_when_it_is_made(watch: FolderWatch, tmp_path: Path):
    folder = tmp_path / "a" / "b"
    watch.watch(lambda: {folder})
    assert not watch.read()
    folder.mkdir(parents=True)
    assert watch.read()
    watch.watch(lambda: {folder})
    watch.read()
    (folder / "file").touch()
    assert watch.read()


def test_folder_that_is_no_longer_wanted_is_not_reported(watch: FolderWatch, tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    watch.watch(lambda: {old})
    watch.watch(lambda: {new})
    watch.read()
    (old / "file").touch()
    assert not watch.read()
    (new / "file").touch()
    assert watch.read()
