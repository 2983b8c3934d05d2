"""Lists of keys that several processes change."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from kju.errors import FileError, UsageError
from kju.remote.key_lists import change_list, read_list


class Names(msgspec.Struct):
    names: dict[str, int] = {}


def test_concurrent_changes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "trust" / "names.json"

    def add(first: int) -> None:
        for number in range(first, first + 20):
            change_list(path, Names, lambda held, n=number: held.names.update({str(n): n}))

    threads = [threading.Thread(target=add, args=(20 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_list(path, Names).names) == 80


def test_a_file_that_is_missing_is_empty_and_nonsense_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    assert read_list(path, Names).names == {}
    path.write_text("[1]")
    with pytest.raises(UsageError, match=r"names\.json"):
        read_list(path, Names)
    with pytest.raises(UsageError, match=r"names\.json"):
        change_list(path, Names, lambda held: None)
    assert path.read_text() == "[1]"


@pytest.mark.parametrize("name", ["names.json", ".lock"])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "trust"
    victim.write_text('{"names": {}}')
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(victim)
    with pytest.raises(FileError):
        change_list(folder / "names.json", Names, lambda held: held.names.update(a=1))
    assert victim.read_text() == '{"names": {}}'
