"""What a web server keeps of machines that have ended."""

from __future__ import annotations

from pathlib import Path

from kju.web.access import Access
from kju.web.assets import Assets
from kju.web.site import Site


def test_nothing_is_kept_of_screens_that_have_ended(tmp_path: Path) -> None:
    site = Site([], Access(tmp_path), Assets(tmp_path))
    first = site._make_carrier("fork-1")
    site._make_carrier("debian")
    first.close()
    site._make_carrier("fork-2")
    assert sorted(site._carriers) == ["debian", "fork-2"]
