"""The addresses of running servers."""

from __future__ import annotations

from pathlib import Path

from kju.web.running import announced, running_urls


def test_a_server_is_known_while_it_runs(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    assert running_urls(folder) == []
    with announced("http://localhost:7480/", 7480, folder):
        with announced("https://lab:8443/", 8443, folder):
            assert running_urls(folder) == ["http://localhost:7480/", "https://lab:8443/"]
        assert running_urls(folder) == ["http://localhost:7480/"]
    assert list(folder.iterdir()) == []


def test_the_files_of_a_killed_server_are_removed(tmp_path: Path) -> None:
    (tmp_path / "server-7480.url").write_text("http://localhost:7480/")
    (tmp_path / "server-7480.lock").write_text("")
    assert running_urls(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
