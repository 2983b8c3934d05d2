"""Bases and their forks, for lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.forks import HEADER, MEMORY, freeze

from kju.store import running
from kju.store.forks import listing


def test_bases_are_listed_oldest_first(roots: Path) -> None:
    assert listing.bases() == []
    with freeze("one") as one, freeze("two", machine="shop") as two:
        first, second = listing.bases()
        assert (first.id, first.facts.machine, first.facts.tag) == (one.id, "web", "one")
        assert (second.id, second.facts.machine) == (two.id, "shop")
        assert first.time <= second.time
        assert HEADER + MEMORY <= first.used < HEADER + MEMORY + (1 << 20)
        assert first.forks == ()
    assert listing.bases() == []


def test_running_forks_are_listed_with_their_base(roots: Path) -> None:
    with freeze() as base:
        claims = [running.claim(name) for name in ("web-1", "web-2", "other")]
        for claim in claims[:2]:
            listing.note_fork(claim.paths, base.id)
        assert [listing.base_of(claim.paths) for claim in claims] == [base.id, base.id, ""]
        (entry,) = listing.bases()
        assert entry.forks == ("web-1", "web-2")
        claims[0].release()
        assert listing.bases()[0].forks == ("web-2",)
        for claim in claims[1:]:
            claim.release()


def test_a_damaged_note_is_no_base(roots: Path) -> None:
    claim = running.claim("web")
    claim.paths.base.write_bytes(b"\xff" * 1000)
    assert listing.base_of(claim.paths) == ""
    claim.release()


def test_bases_of_another_runtime_folder_are_not_listed(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = roots / "other"
    other.mkdir()
    with freeze():
        assert len(listing.bases()) == 1
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(other))
        assert listing.bases() == []


def test_the_overlays_that_bases_use(roots: Path) -> None:
    assert listing.bases_on(roots) == set()
