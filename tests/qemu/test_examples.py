"""The examples that drive a guest, run as their own programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image
from support import guests
from support.wait import HANG, until

import kju
from kju.client.targets import running_names

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(example: str, *words: object, folder: Path, timeout: float = 3 * HANG) -> list[str]:
    """Run an example and return the lines that it prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(kju.__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_installer_example_reaches_the_third_screen(tmp_path: Path) -> None:
    args = guests.installer()
    kernel, initrd = args[args.index("-kernel") + 1], args[args.index("-initrd") + 1]
    lines = run("install.py", kernel, initrd, folder=tmp_path)
    assert "Configure the keyboard" in "\n".join(lines)
    assert lines[-1] == "the report: install.html"
    report = (tmp_path / "install.html").read_text()
    assert report.count('class="ring"') == 2  # a click, before and after
    assert "the text 'Select your location'" in report
    assert "type Ir" in report  # what was typed
    assert 'class="failure"' not in report and 'class="verdict">not in' not in report
    assert report.count("data:image/png") >= 5


@pytest.mark.soak
@pytest.mark.timeout(700)
def test_agent_example_reaches_the_third_screen(tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    args = guests.installer()
    kernel, initrd = args[args.index("-kernel") + 1], args[args.index("-initrd") + 1]
    lines = run("agent.py", kernel, initrd, folder=tmp_path, timeout=690)
    assert "Configure the keyboard" in lines[lines.index("read_text ") + 1 :]
    assert sum(line.startswith("click ") for line in lines) == 1


def test_bot_example_shoots_invaders(tmp_path: Path) -> None:
    """On an idle computer it shoots 18 to 21 in eight seconds, on a busy one 4, without keys 0."""
    args = guests.invaders()
    kernel = args[args.index("-kernel") + 1]
    (line,) = run("invaders.py", kernel, 8, folder=tmp_path)
    match = re.fullmatch(r"bot shot (\d+) of 40 invaders", line)
    assert match and 1 <= int(match[1]) <= 40


def test_explorer_example_finds_every_menu_entry(tmp_path: Path) -> None:
    args = guests.grub()
    image = re.search(r"file=(.*)", args[-1])
    assert image
    disk = tmp_path / "menu.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", image[1], str(disk)], check=True)
    lines = run("explore.py", disk, 2, "down", "up", folder=tmp_path)
    found, tree, count = lines[:3], lines[4:-2], lines[-1]
    assert count == "3 screens"  # one for each entry
    assert len(list((tmp_path / "explored").glob("s*.png"))) == 3
    assert all(re.fullmatch(r"screen \d: explored/s\w+\.png", line) for line in found)
    first, down, further, back, up = (line.split() for line in tree)
    assert (down[0], further[0]) == ("down:", "down:")
    assert len({first[0], down[1], further[1]}) == 3
    assert back == up == ["up:", first[0], "(above)"]


@pytest.mark.soak  # a minute of Ray and emulated guests; the page about fleets has the same calls
@pytest.mark.timeout(700)
def test_fleet_example_plays_on_when_a_node_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    args = guests.invaders()
    kernel = args[args.index("-kernel") + 1]
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)  # Ray's sockets need a short path
        lines = run(
            "fleet.py", kernel, "--bots", 4, "--seconds", 8, "--wall", "wall.png",
            folder=tmp_path, timeout=600,
        )  # fmt: skip
    text = "\n".join(lines)  # Ray prints lines, too
    assert re.search(r"^4 forks in \d+\.\d s on \{'.*': 2, '.*': 2\}$", text, re.M)
    assert re.search(r"^2 machines were lost with their node$", text, re.M)
    assert re.search(r"^2 machines run again on \S+$", text, re.M)
    starts = re.findall(r"^bot-\d shot \d+ \(start (\d)\)$", text, re.M)
    assert sorted(starts) == ["1", "1", "2", "2"]
    assert re.search(r"^4 bots shot \d+\.\d of 40 invaders on the average$", text, re.M)
    with Image.open(tmp_path / "wall.png") as wall:
        assert len(wall.getcolors(1 << 20) or ()) > 3
    # The cluster has ended with the example: what its keepers did not end before ends by its lease.
    until(lambda: running_names() == [], "the machines end")


def test_learner_example_plays_two_rounds_and_draws_them(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium")
    args = guests.invaders()
    kernel = args[args.index("-kernel") + 1]
    lines = run(
        "train.py", kernel, "--machines", 2, "--rounds", 2, "--plot", "curve.png",
        folder=tmp_path,
    )  # fmt: skip
    # A step is a picture of the game, so on a busy computer the scores are the same, 8 to 12.
    first = re.fullmatch(r"round 1 of 2: (\d+\.\d) shot, 100% at random", lines[0])
    assert first and 2 <= float(first[1]) <= 25
    assert re.fullmatch(r"\d+\.\d shot at random, \d+\.\d at last; the curve: curve.png", lines[-1])
    with Image.open(tmp_path / "curve.png") as curve:
        assert len(curve.getcolors() or ()) > 3
