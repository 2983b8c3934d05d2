"""Functions and scripts that are named on a command line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from kju.errors import UsageError
from kju.fleet.tasks import load_task

MACHINE = SimpleNamespace(name="web")


def test_a_function_of_a_module_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kju_test_tasks.py").write_text(
        "def name(machine): return machine.name\nnone = 3\n"
    )
    function, module = load_task("kju_test_tasks:name")
    assert function(MACHINE) == "web"
    assert module is not None and module.__name__ == "kju_test_tasks"
    for text, fault in {
        "kju_test_tasks:other": "has no function 'other'",
        "kju_test_tasks:none": "has no function 'none'",
        "kju_no_such_module:name": "the module kju_no_such_module cannot be imported",
        "name": "'name' is not a task",
        ":name": "':name' is not a task",
        "module:": "'module:' is not a task",
    }.items():
        with pytest.raises(UsageError, match=fault):
            load_task(text)


def test_a_script_has_the_machine_and_its_output_is_the_result(tmp_path: Path) -> None:
    script = tmp_path / "task.py"
    script.write_text("def twice(text):\n    return text * 2\nprint(twice(machine.name))\n")
    function, module = load_task(str(script))
    assert (function(MACHINE), module) == ("webweb\n", None)
    script.write_text("print(1")
    with pytest.raises(UsageError, match="cannot be used: '\\(' was never closed"):
        load_task(str(script))
    with pytest.raises(UsageError, match=r"the script .*missing\.py cannot be used"):
        load_task(str(tmp_path / "missing.py"))
    script.write_text("raise ValueError(machine.name)")
    function, _ = load_task(str(script))
    with pytest.raises(ValueError, match="web"):
        function(MACHINE)
