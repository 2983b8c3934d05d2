"""The sizes that keep the tree readable: lines, files, attributes; and one class for each name."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import kju

SOURCE = Path(kju.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
#: Lines of a file; lines of a function without its docstring; attributes of a class.
MAX_FILE, MAX_FUNCTION, MAX_ATTRIBUTES = 500, 60, 15
#: Modules in a folder.
MAX_FOLDER = 20
#: Other programs copy this header as one file.
ONE_FILE = {"include/kju/surface.h"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, ast.Module]:
    """Return the modules by their paths in the package."""
    return {
        str(path.relative_to(SOURCE)): ast.parse(path.read_text())
        for path in sorted(SOURCE.rglob("*.py"))
    }


def code_lines(function: Function) -> int:
    """Return the lines of a function's body without the docstring."""
    first, *_ = function.body
    has_docstring = ast.get_docstring(function, clean=False) is not None
    return (function.end_lineno or 0) - (
        (first.end_lineno or 0) if has_docstring else first.lineno - 1
    )


def attributes(definition: ast.ClassDef) -> set[str]:
    """Return the attributes that the methods of a class set."""
    return {
        node.attr
        for node in ast.walk(definition)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def repeated(trees: dict[str, ast.Module]) -> set[str]:
    """Return the names of more than one class; the two halves of the API have the same names."""
    places = {
        (node.name, module.replace("/aio/", "/"))
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    return {name for name, count in Counter(name for name, _ in places).items() if count > 1}


def test_files_are_short() -> None:
    paths = [*SOURCE.rglob("*.py"), *(ROOT / "csrc").rglob("*.[ch]"), *ROOT.glob("include/*/*.h")]
    sizes = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in paths}
    assert {path: size for path, size in sizes.items() if size > MAX_FILE}.keys() <= ONE_FILE


def test_folders_are_small() -> None:
    sizes = Counter(str(Path(module).parent) for module in modules())
    assert {folder: size for folder, size in sizes.items() if size > MAX_FOLDER} == {}


def test_functions_fit_a_screen() -> None:
    long = {
        f"{module}: {node.name}": code_lines(node)
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, Function) and code_lines(node) > MAX_FUNCTION
    }
    assert long == {}


def test_classes_have_few_attributes() -> None:
    large = {
        f"{module}: {node.name}": len(attributes(node))
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and len(attributes(node)) > MAX_ATTRIBUTES
    }
    assert large == {}


def test_a_class_has_a_name_of_its_own() -> None:
    assert repeated(modules()) == set()


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("client/a.py", "wire/b.py", {"Thing"}),
        ("client/a.py", "client/aio/a.py", set()),
        ("client/a.py", "agents/aio/a.py", {"Thing"}),
    ],
)
def test_a_repeated_name_is_found(one: str, other: str, found: set[str]) -> None:
    tree = ast.parse("class Thing: ...")
    assert repeated({one: tree, other: tree}) == found


def test_lines_and_attributes_are_counted() -> None:
    text = 'class A:\n    def f(self):\n        """One.\n\n        Two."""\n        self.x = 1\n'
    text += "        self.y.z = 2\n        self.x = 3\n"
    definition = ast.parse(text).body[0]
    assert isinstance(definition, ast.ClassDef)
    assert attributes(definition) == {"x"}
    function = definition.body[0]
    assert isinstance(function, ast.FunctionDef)
    assert code_lines(function) == 3
