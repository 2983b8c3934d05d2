"""Functions and scripts that are named on a command line."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kju.errors import UsageError
from kju.fleet.tasks import ScriptError, load_task

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


def run(tmp_path: Path, text: str) -> object:
    (tmp_path / "task.py").write_text(text)
    function, _ = load_task(str(tmp_path / "task.py"))
    return function(MACHINE)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise ValueError(machine.name)", "ValueError: web"),
        ("{}['key']", "KeyError: 'key'"),
        ("import sys; sys.exit(4)", "SystemExit: 4"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("int('x')", "ValueError: invalid literal"),
    ],
)
def test_the_error_of_a_script_says_what_where_and_after_which_output(
    tmp_path: Path, text: str, error: str
) -> None:
    with pytest.raises(ScriptError) as raised:
        run(tmp_path, f"print('begun')\n{text}\n")
    first, last = str(raised.value).splitlines()
    assert first.startswith(error)
    assert first.endswith(f"(line 2 of {tmp_path / 'task.py'})")
    assert last == "begun"
    assert isinstance(pickle.loads(pickle.dumps(raised.value)), ScriptError)


@pytest.mark.parametrize("text", ["import sys; sys.exit()", "import sys; sys.exit(0)"])
def test_a_script_that_exits_without_a_fault_has_succeeded(tmp_path: Path, text: str) -> None:
    assert run(tmp_path, f"print('done')\n{text}") == "done\n"


def test_a_script_has_its_own_path_and_no_arguments(tmp_path: Path) -> None:
    path, before = tmp_path / "task.py", [*sys.argv]
    assert run(tmp_path, "import sys; print(__file__, sys.argv)") == f"{path} {[str(path)]}\n"
    assert sys.argv == before
