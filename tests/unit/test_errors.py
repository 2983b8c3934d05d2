"""The tree of errors: as its documentation draws it, and fit to travel between processes."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from kju import errors
from kju.errors import FileError, KjuError

CLASSES = {
    name: each
    for name, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, KjuError) and each.__module__ == errors.__name__
}
#: Two spellings of the branches of the drawn tree.
BRANCH = re.compile(r"^ {4}((?:│   |    )*)[├└]── (\S+)")


def drawn() -> dict[str, str]:
    """Return each error of the drawing and its parent."""
    path, found = ["KjuError"], {}
    for line in (errors.__doc__ or "").splitlines():
        match = BRANCH.match(line)
        if match:
            depth = len(match[1]) // 4 + 1
            name = match[2].rpartition(".")[2]
            path = [*path[:depth], name]
            found[name] = path[depth - 1]
    return found


def test_the_drawing_has_every_error_under_its_parent() -> None:
    tree = drawn()
    assert set(CLASSES) - {"KjuError"} == set(tree) - {"ScreenTimeoutError"}
    for name, parent in tree.items():
        if name in CLASSES:
            assert CLASSES[parent] in CLASSES[name].__bases__, f"{name} is not below {parent}"


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_has_a_docstring_and_keeps_its_message(name: str) -> None:
    cls = CLASSES[name]
    assert cls.__doc__
    arguments = ("kernel.shmmax", 1, 2) if name == "LimitError" else ()
    assert str(cls("the message", *arguments)) == "the message"


def test_standard_exceptions_catch_their_subclasses() -> None:
    assert issubclass(errors.GeometryError, ValueError)
    assert issubclass(errors.WaitTimeoutError, TimeoutError)
    assert issubclass(FileError, OSError)


def test_a_file_error_survives_pickling() -> None:
    before = FileError("cannot read /x: gone", "/x", 2)
    after = pickle.loads(pickle.dumps(before))
    assert (str(after), after.filename, after.errno) == ("cannot read /x: gone", "/x", 2)
    assert repr(FileError("m", "/x")) == repr(pickle.loads(pickle.dumps(FileError("m", "/x"))))
