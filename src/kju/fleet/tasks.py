"""SHELL: functions and scripts that run beside machines, named on a command line."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import UsageError

#: Lines of a script's output in its error.
_LAST_LINES = 20


def load_task(text: str) -> tuple[Callable[[Any], Any], ModuleType | None]:
    """Return the function that a text names, and its module, which other computers may lack.

    Args:
        text: ``MODULE:FUNCTION``, with the module in this folder or installed; or the path of a
            script, which finds the machine in the variable ``machine``.

    Raises:
        UsageError: The module, function or script does not exist, or is not valid.
    """
    if text.endswith(".py") and ":" not in text:
        try:
            source = Path(text).read_text(encoding="utf-8")
            compile(source, text, "exec")
        except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as error:
            raise UsageError(f"the script {text} cannot be used: {error}") from error
        return partial(run_script, source, text), None
    name, colon, attribute = text.partition(":")
    if not (name and colon and attribute):
        raise UsageError(
            f"{text!r} is not a task: write MODULE:FUNCTION, or the path of a script.py"
        )
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"the module {name} cannot be imported: {error}") from error
    finally:
        sys.path.remove("")
    function = getattr(module, attribute, None)
    if not callable(function):
        raise UsageError(f"the module {name} has no function {attribute!r}")
    return function, module


class ScriptError(Exception):
    """A script has failed; the text has its error, the line, and the last lines of its output."""


def run_script(source: str, name: str, machine: object) -> str:
    """Run a script with a machine, and return its standard output.

    Args:
        source: The script.
        name: Its path, for messages and its `__file__`.
        machine: The machine, as the variable ``machine`` of the script.

    Raises:
        ScriptError: It has raised an error, or has exited with another status than 0.
    """
    printed = io.StringIO()
    names = {"machine": machine, "__name__": "__main__", "__file__": name}
    arguments, sys.argv = sys.argv, [name]
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(source, name, "exec"), names)  # noqa: S102  the user's own script
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (None, 0):
            return printed.getvalue()
        raise ScriptError(_failure(error, name, printed.getvalue())) from error
    finally:
        sys.argv = arguments
    return printed.getvalue()


def _failure(error: BaseException, name: str, printed: str) -> str:
    """Return the text of a `ScriptError`."""
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == name]
    where = f" (line {lines[-1]} of {name})" if lines else ""
    last = printed.splitlines()[-_LAST_LINES:]
    return "\n".join([f"{type(error).__name__}: {error}{where}", *last])
