"""Small files that several processes change."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from kju.errors import FileError, UsageError
from kju.remote import json_file


class Names(msgspec.Struct):
    names: dict[str, int] = {}


def test_concurrent_changes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "trust" / "names.json"

    def add(first: int) -> None:
        for number in range(first, first + 20):
            json_file.change(path, Names, lambda held, n=number: held.names.update({str(n): n}))

    threads = [threading.Thread(target=add, args=(20 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json_file.read(path, Names).names) == 80


def test_a_file_that_is_missing_is_empty_and_nonsense_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    assert json_file.read(path, Names).names == {}
    path.write_text("[1]")
    with pytest.raises(UsageError, match=r"names\.json"):
        json_file.read(path, Names)
    with pytest.raises(UsageError, match=r"names\.json"):
        json_file.change(path, Names, lambda held: None)
    assert path.read_text() == "[1]"


@pytest.mark.parametrize("name", ["names.json", ".lock"])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "trust"
    victim.write_text('{"names": {}}')
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(victim)
    with pytest.raises(FileError):
        json_file.change(folder / "names.json", Names, lambda held: held.names.update(a=1))
    assert victim.read_text() == '{"names": {}}'
