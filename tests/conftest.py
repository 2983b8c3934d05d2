"""Fixtures and settings of all tests."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support import accelerator, leftovers, longest, skips

if TYPE_CHECKING:
    from kju.remote.trust import Trust

# Time says nothing about correctness on a computer that others use too.
settings.register_profile("kju", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kju")

# `nohup` starts programs with SIGHUP ignored, a shell starts background jobs with SIGINT ignored,
# and the programs that tests start would inherit that. A handler is not inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_sessionstart() -> None:
    """Have the machines of a run that is interrupted or killed ended."""
    if leftovers.RUN not in os.environ:  # a worker has its controller's
        os.environ[leftovers.RUN] = run = uuid.uuid4().hex
        leftovers.guard_run(run)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the workers of one run begin with the files that take longest, then the largest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (-longest.seconds(item.path), -tests[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped because `./check` has not installed something."""
    report = yield
    skips.fail_forbidden_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that is skipped because `./check` has not installed something."""
    report = yield
    skips.fail_forbidden_skip(report)
    return report


@pytest.fixture(autouse=True)
def no_process_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the processes that a test leaves behind, and fail it."""
    older = leftovers.running()
    monkeypatch.setenv(leftovers.TEST, str(tmp_path))
    yield
    left = leftovers.end_processes_of(str(tmp_path), older)
    assert not left, f"processes outlived their test: {left}"


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where logs of killed machines are kept, and machines: never the user's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield tmp_path / "state"
    # A process keeps the preferences of its windows, and the folder they are in, until it ends.
    preferences = sys.modules.get("kju.viewers.preferences")
    if preferences and preferences.shared_preferences.cache_info().currsize:
        preferences.shared_preferences().flush()
        preferences.shared_preferences.cache_clear()


@pytest.fixture
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a test a folder of its own for running machines; fail it if a machine is left there."""
    from kju.client.targets import running_names

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    accelerator.keep_answer(tmp_path)
    yield tmp_path / "kju"
    assert running_names() == []


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a test folders of its own for running and defined machines and their logs."""
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture
def lab(tmp_path: Path) -> Trust:
    """A sender's certificates and two users, as `support.trusting.make_lab` makes them."""
    pytest.importorskip("cryptography")
    from support.trusting import make_lab

    return make_lab(tmp_path / "lab")
