"""The pytest plug-in in planted suites, with a machine without QEMU."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support.fake_host import FakeHost, fake_host

from kju.emulators.input.devices import InputLog
from kju.store.paths import Paths

pytest_plugins = ["pytester"]

FAILS = """
def test_it(machine):
    machine.screen.wait_colour("red", (1, 2, 3, 4), timeout=0)
"""
PASSES = """
def test_it(machine):
    machine.screen.wait_colour("black", timeout=30)
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    with fake_host() as host:
        host.machine.block.set()
        yield host


def run(pytester: pytest.Pytester, text: str, *words: str) -> pytest.RunResult:
    pytester.makepyfile(text)
    quiet = ("-p", "pytest_kju", "-p", "no:cacheprovider", "-p", "no:asyncio")
    return pytester.runpytest_inprocess(*quiet, "--basetemp=tmp", *words)


def kept(pytester: pytest.Pytester, folder: str) -> set[str]:
    return {path.name for path in (pytester.path / folder).rglob("*") if path.is_file()}


def test_failure_saves_screen_input_and_report(pytester: pytest.Pytester, host: FakeHost) -> None:
    result = run(pytester, FAILS, "--kju-name=fake", "--kju-artifacts=kept")
    result.assert_outcomes(failed=1)
    folder = pytester.path / "kept" / "test_failure_saves_screen_input_and_report.py-test_it"
    assert kept(pytester, "kept") == {"screen.png", "input.jsonl", "wait.png", "report.html"}
    result.stdout.fnmatch_lines(
        ["*- kju -*", f"*{folder}/wait.png", f"report: {folder}/report.html"]
    )
    with Image.open(folder / "screen.png") as image:
        assert image.size == (64, 48)
    text = (folder / "report.html").read_text()
    assert "ScreenTimeoutError" in text and "machine.screen.wait_colour" in text
    assert text.count("data:image/png") == 2  # the picture of the wait, and the screen


def test_report_is_saved_in_pytests_folder_by_default(
    pytester: pytest.Pytester, host: FakeHost
) -> None:
    run(pytester, FAILS, "--kju-name=fake").assert_outcomes(failed=1)
    assert "report.html" in kept(pytester, "tmp/kju-report")


@pytest.mark.parametrize(
    ("text", "when", "wanted"),
    [
        (PASSES, "failed", set()),
        (PASSES, "always", {"report.html"}),
        (FAILS, "never", {"screen.png", "input.jsonl", "wait.png"}),
    ],
)
def test_option_chooses_when_a_report_is_written(
    pytester: pytest.Pytester, host: FakeHost, text: str, when: str, wanted: set[str]
) -> None:
    run(pytester, text, "--kju-name=fake", "--kju-artifacts=kept", f"--kju-report={when}")
    assert kept(pytester, "kept") == wanted


def test_input_of_the_test_is_saved(pytester: pytest.Pytester, host: FakeHost) -> None:
    log = InputLog(Paths(host.machine.claim.paths.folder).input_log)
    log.keys(0, [(30, True)])  # before the test
    text = """
    from kju.emulators.input.devices import InputLog
    def test_it(machine):
        log = InputLog(machine._paths.input_log)
        log.keys(0, [(31, True), (31, False)])
        log.close()
        assert not "typed"
    """
    run(pytester, text, "--kju-name=fake", "--kju-artifacts=kept").assert_outcomes(failed=1)
    log.close()
    (path,) = (pytester.path / "kept").rglob("input.jsonl")
    assert [json.loads(line)["keys"] for line in path.read_text().splitlines()] == [
        [[31, True], [31, False]]
    ]


def test_last_screen_of_an_ended_machine_is_saved(
    pytester: pytest.Pytester, host: FakeHost
) -> None:
    text = """
    def test_it(machine):
        machine.screen.wait_colour("black", timeout=30)
        machine.close()
        assert not "closed"
    """
    result = run(pytester, text, "--kju-name=fake", "--kju-artifacts=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the last screen of fake: *"])
    assert {"screen.png", "report.html"} <= kept(pytester, "kept")


@pytest.mark.parametrize("can_be_kept", [True, False])
def test_escapes_do_not_reach_the_terminal(
    pytester: pytest.Pytester, host: FakeHost, can_be_kept: bool
) -> None:
    folder = pytester.path / "kept\x1b[2J\u202e"
    if not can_be_kept:
        folder.touch()
    result = run(pytester, FAILS, "--kju-name=fake", f"--kju-artifacts={folder.name}")
    wanted = "screenshot of fake: " if can_be_kept else "the report is incomplete: FileError: "
    (line,) = (line for line in result.stdout.lines if line.startswith(wanted))
    assert r"kept\x1b[2J\u202e" in line
    assert "\x1b" not in result.stdout.str() and "\u202e" not in result.stdout.str()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def test_it(machine): pass", "*this test has no machine*"),
        (
            "import pytest\n@pytest.mark.machine(imag='x')\ndef test_it(machine): pass",
            "*unknown option 'imag'*",
        ),
        (
            "import pytest\n@pytest.mark.machine('x', scope='moon')\ndef test_it(machine): pass",
            "*unknown scope 'moon'*",
        ),
    ],
)
def test_invalid_marker_is_an_error(pytester: pytest.Pytester, text: str, words: str) -> None:
    result = run(pytester, text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])


def test_suite_without_machines_does_not_import_kju(pytester: pytest.Pytester) -> None:
    """The plug-in is loaded into every suite where kju is installed, so it must import little."""
    pytester.makepyfile(
        """
        import sys
        def test_it():
            assert not {"kju", "numpy", "PIL"} & sys.modules.keys()
        """
    )
    words = ["-p", "pytest_kju", "-p", "no:cacheprovider", "-q"]
    # Other plug-ins of this computer are not tested.
    command = ["env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", sys.executable, "-m", "pytest", *words]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_marker_is_registered(pytester: pytest.Pytester) -> None:
    text = "import pytest\n@pytest.mark.machine(image='x')\ndef test_it(): pass"
    run(pytester, text, "--strict-markers").assert_outcomes(passed=1)
