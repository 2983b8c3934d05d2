"""The layers of the package, from its import statements: `LAYERS` is what architecture.md draws."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import kju

SOURCE = Path(kju.__file__).parent

#: From the bottom up: a module imports from its own folder and from lower layers.
LAYERS = (
    {"checkout", "encoding", "errors", "escaping", "extras", "signals"},
    {"surface"},
    {"keys"},
    {"protocol"},
    {"wire"},
    {"files"},
    {"memory", "vision", "store"},
    {"sources", "remote", "acting"},
    {"client", "emulators"},
    {"serving", "report", "host"},
    {"viewers"},
    {"guests", "agents", "web", "fleet"},
    {"gym", "codegen"},
    {"desktop"},
    {"cli", "aio"},
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
#: The only imports between two folders of one layer.
SIDEWAYS = {("errors"), ("extras", "errors")}
#: A host program and its clients are two processes: they share what is below both.
APART = {
    "client": {"emulators", "host"},
    "report": {"emulators", "host"},
    "serving": {"emulators", "host"},
    "viewers": {"emulators", "host"},
    "web": {"emulators", "host"},
    "desktop": {"emulators", "host"},
    "emulators": {"client", "serving", "report", "viewers"},
    "host": {"client", "serving", "report", "viewers"},
}
#: Modules and folders that take buffers and bytes, and hold no descriptor, thread or clock.
CORE = (
    "acting",
    "agents.dialects",
    "agents.labels",
    "agents.pictures",
    "encoding",
    "errors",
    "escaping",
    "surface",
    "keys",
    "wire",
    "protocol",
    "store.disk_headers",
    "store.forks.description",
    "store.forks.qcow2",
    "store.image",
    "store.machine_toml",
    "store.snapshot_tree",
    "store.toml_edit",
    "sources.display1.frames",
    "sources.display1.listener",
    "sources.display1.messages",
    "emulators.base",
    "emulators.qemu.arguments",
    "emulators.qemu.display.guest_mode",
    "emulators.qemu.forks.arguments",
    "emulators.qemu.forks.ram_file",
    "emulators.qemu.input.events",
    "emulators.qemu.stderr",
    "emulators.xvfb.arguments",
    "emulators.xvfb.xwd",
    "codegen.steps",
    "fleet.bases.source",
    "fleet.change_log",
    "fleet.images.source",
    "fleet.keeping",
    "fleet.messages",
    "fleet.network.news",
    "fleet.placement",
    "fleet.records",
    "fleet.roster",
    "fleet.specs",
    "desktop.machines.entry",
    "desktop.machines.facts",
    "desktop.machines.entry",
    "desktop.pages.create",
    "desktop.wall.empty",
    "desktop.wall.search",
    "desktop.wall.tile",
    "vision.areas",
    "vision.looking",
    "vision.pixels",
    "vision.match",
    "vision.text",
    "vision.glyphs",
    "vision.openqa",
    "viewers.badge",
    "viewers.geometry",
    "viewers.input.grab",
    "viewers.input.guest_input",
    "viewers.input.send_keys",
    "viewers.machine_commands",
    "viewers.numbers",
    "viewers.pacing",
    "viewers.picture",
    "viewers.terminal.canvas",
    "viewers.terminal.paint",
    "viewers.terminal.parser",
    "viewers.terminal.status_line",
    "viewers.tools.needle_form",
    "viewers.tools.paste",
    "viewers.tools.picking",
    "web.messages",
)
SHELL_ONLY = {"asyncio", "socket", "mmap", "os", "threading", "time", "selectors", "subprocess"}


class Import(NamedTuple):
    """One module of the package imports another module.

    Attributes:
        module: Its dotted name without ``kju.``; empty for the package itself.
        name: The imported module: dotted, ``kju.`` first for one of the package.
        runs: It is executed: it does not stand under ``TYPE_CHECKING``.
    """

    module: str
    name: str
    runs: bool


def modules() -> Iterator[tuple[Path, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement, lazy ones too, and whether it runs."""
    todo: list[tuple[ast.AST, bool]] = [(tree, True)]
    while todo:
        node, runs = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, runs
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo += [(child, False) for child in node.body]
            todo += [(child, runs) for child in node.orelse]
        else:
            todo += [(child, runs) for child in ast.iter_child_nodes(node)]


def imports() -> Iterator[Import]:
    names = {f"kju.{name}" for _, name in modules()} | {
        "kju." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in SOURCE.rglob("*.pyi")
    }
    for path, module in modules():
        package = ["kju", *module.split(".")] if module else ["kju"]
        if path.stem != "__init__":
            package = package[:-1]
        for node, runs in statements(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (Import(module, alias.name, runs) for alias in node.names)
                continue
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                is_module = f"{stem}.{alias.name}" in names
                yield Import(module, f"{stem}.{alias.name}" if is_module else stem, runs)


IMPORTS = frozenset(imports())


def folder(name: str) -> str:
    return name.removeprefix("kju.").split(".")[0]


def is_core(module: str) -> bool:
    return any(module == core or module.startswith(f"{core}.") for core in CORE)


def ours(found: Iterator[Import] | frozenset[Import]) -> set[tuple[str, str]]:
    """The edges between modules of the package, those for type checkers included."""
    return {
        (one.module, one.name.removeprefix("kju."))
        for one in found
        if one.name.startswith("kju.") and one.module
    }


def upward(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Edges that do not lead down the layers."""
    wrong = set()
    for here, there in edges:
        a, b = folder(here), folder(there)
        if a == b:
            continue
        level = HEIGHT[a] == HEIGHT[b] and (a, b) not in SIDEWAYS
        if HEIGHT[b] > HEIGHT[a] or level or b in APART.get(a, set()):
            wrong.add((here, there))
    return wrong


def cycles(edges: set[tuple[str, str]]) -> list[list[str]]:
    """The strongly connected groups of more than one module (Tarjan)."""
    graph: dict[str, set[str]] = {}
    for here, there in edges:
        # A package's __init__ may gather what its modules define.
        if here != there and not there.startswith(f"{here}."):
            graph.setdefault(here, set()).add(there)
            graph.setdefault(there, set())
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            at = stack.index(module)
            if len(group := stack[at:]) > 1:
                found.append(sorted(group))
            del stack[at:]

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def shell_imports(found: Iterator[Import] | frozenset[Import]) -> set[tuple[str, str]]:
    """What core modules import of the system."""
    return {
        (one.module, one.name)
        for one in found
        if is_core(one.module)
        and one.runs
        and (
            one.name.split(".")[0] in SHELL_ONLY
            or one.name.startswith(("kju.memory._system", "PySide", "PyQt"))
        )
    }


def test_imports_are_found() -> None:
    assert Import("surface.model", "kju.surface._core", True) in IMPORTS
    assert Import("client.surface", "kju.surface.model", True) in IMPORTS or any(
        one.module == "client.surface" and one.name.startswith("kju.surface") for one in IMPORTS
    )
    assert Import("memory.file", "os", True) in IMPORTS


def test_every_module_has_a_layer() -> None:
    assert {folder(module) for _, module in modules() if module} <= set(HEIGHT)


def test_every_core_name_is_a_module() -> None:
    assert set(CORE) <= {module for _, module in modules()}


def test_imports_lead_down_the_layers() -> None:
    assert not upward(ours(IMPORTS))


def test_no_import_cycles() -> None:
    assert not cycles(ours(IMPORTS))


def test_core_modules_use_no_descriptor_thread_or_clock() -> None:
    assert not shell_imports(IMPORTS)


@pytest.mark.parametrize(
    "edge",
    [
        ("surface.model", "client.link"),
        ("client.link", "host.machine"),
        ("host.machine", "client.link"),
        ("keys.names", "wire.messages"),
        ("report.page", "viewers.contract"),
        ("viewers.contract", "cli.app"),
    ],
)
def test_a_planted_import_up_the_layers_is_found(edge: tuple[str, str]) -> None:
    assert upward(ours(IMPORTS) | {edge}) >= {edge}


def test_a_planted_cycle_is_found() -> None:
    planted = {("vision.a", "vision.b"), ("vision.b", "vision.c"), ("vision.c", "vision.a")}
    assert ["vision.a", "vision.b", "vision.c"] in cycles(ours(IMPORTS) | planted)


@pytest.mark.parametrize("name", ["os", "asyncio", "kju.memory._system"])
def test_a_planted_system_import_in_core_is_found(name: str) -> None:
    planted = Import("wire.new", name, True)
    assert shell_imports(IMPORTS | {planted}) >= {("wire.new", name)}
