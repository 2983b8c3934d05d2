"""A recording on a thread of its own has an end, whatever fails in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kju.codegen import background
from kju.codegen.background import RecordedScript, ScriptRecording


class Faulty:
    """A recorder with a bug in one of its calls."""

    end_reason = None

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.fails("begin")

    def fails(self, call: str) -> None:
        if call == self.fault:
            raise ZeroDivisionError("a bug")

    def poll(self) -> None:
        self.fails("poll")

    def finish(self) -> str:
        self.fails("finish")
        return "the script"


@pytest.mark.parametrize("fault", ["begin", "poll", "finish", ""])
def test_recording_with_a_bug_ends_and_names_it(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "Recorder", lambda *_, **__: Faulty(fault))
    ends: list[RecordedScript] = []
    recording: Any = ScriptRecording("guest", 0, tmp_path / "a.py", lambda lines: None, ends.append)
    if fault in ("finish", ""):
        recording.stop()
    assert recording.wait(60)
    (end,) = ends
    assert end.error == ("ZeroDivisionError: a bug" if fault else "")
    assert end.source == ("the script" if fault in ("poll", "") else "")
