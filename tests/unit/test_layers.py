"""The law of the layers, from the import statements themselves."""

import ast
from pathlib import Path

import kju

SOURCE = Path(kju.__file__).parent

# From the bottom up: a module imports its own layer and those below. `_core`, `_pixels` and
# `_system` are the extension modules; "" is the package itself.
LAYERS = [
    {"", "errors", "extras", "bounded", "escaping", "geometry", "formats"},
    {"layout", "_core", "_pixels", "_system"},
    {"surface"},
    {"producer", "consumer"},
    {"display1", "bochs", "xwd", "keys", "wire", "definitions"},
    {"files"},
    {"memory", "sources", "host", "remote"},
    {"client", "aio", "watch"},
    {"report", "serving"},
    {"testing", "guests"},
    {"apps"},
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
CORE = {
    "errors",
    "escaping",
    "geometry",
    "formats",
    "layout",
    "surface",
    "producer",
    "consumer",
    "display1",
    "bochs",
    "xwd",
    "keys",
    "wire",
    "definitions",
}
SHELL_ONLY = {"asyncio", "socket", "mmap", "os", "threading", "time", "selectors", "subprocess"}
# What stands side by side in a layer knows only these of another: the display's host knows QEMU,
# the two sides of a surface nothing.
ACROSS = {
    "producer": set(),
    "consumer": set(),
    "memory": set(),
    "sources": {"memory"},
    "host": {"memory", "sources", "remote"},
    "remote": set(),
}


def modules():
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield path, parts[:-1] if parts[-1] == "__init__" else parts


def for_types_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def statements(tree):
    """Every import that runs: not those for type checkers."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if for_types_only(node):
            todo += node.orelse
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        todo += ast.iter_child_nodes(node)


def imports(path, parts):
    """Absolute dotted names; ``kju.x`` for what is ours."""
    package = ["kju", *(parts if path.stem == "__init__" else parts[:-1])]
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        stem = [*base, *(node.module.split(".") if node.module else [])]
        if stem == ["kju"]:  # the names may be modules
            yield from (f"kju.{alias.name}" for alias in node.names)
        else:
            yield ".".join(stem)


GRAPH = [(parts, name) for path, parts in modules() for name in imports(path, parts)]


def home(parts):
    return parts[0] if parts else ""


def test_the_walk_finds_imports():
    assert (("surface",), "kju._core") in GRAPH
    assert (("client", "surface"), "kju.surface") in GRAPH
    assert (("memory", "file"), "os") in GRAPH


def test_every_module_has_a_layer():
    assert {home(parts) for _, parts in modules()} <= set(HEIGHT)


def test_the_core_takes_buffers_and_bytes():
    found = {(".".join(parts), name) for parts, name in GRAPH if home(parts) in CORE}
    assert not {pair for pair in found if pair[1].split(".")[0] in SHELL_ONLY}
    assert not {pair for pair in found if pair[1].startswith(("kju._system", "PySide", "PyQt"))}


def test_what_is_waited_for_knows_no_clock():
    """Conditions and the watch take frames and times; who sleeps is in `client`."""
    logic = {"looking", "pixels", "match", "text", "glyphs", "openqa"}
    found = {
        (".".join(parts), name)
        for parts, name in GRAPH
        if home(parts) == "watch" and parts[-1] in logic
    }
    assert found
    assert not {pair for pair in found if pair[1].split(".")[0] in SHELL_ONLY}
    assert not {pair for pair in found if pair[1].startswith("kju.client")}


def test_imports_run_one_way():
    wrong = set()
    for parts, name in GRAPH:
        if not name.startswith("kju."):
            continue
        here, there = home(parts), name.split(".")[1]
        if there not in HEIGHT:
            continue  # a name that the package itself defines
        if parts and HEIGHT[there] > HEIGHT[here]:
            wrong.add((".".join(parts), name))
        side_by_side = there != here and HEIGHT[there] == HEIGHT[here]
        if side_by_side and here in ACROSS and there not in ACROSS[here]:
            wrong.add((".".join(parts), name))
    assert not wrong


def test_nobody_imports_an_app():
    assert not {
        (parts, name)
        for parts, name in GRAPH
        if name.startswith("kju.apps") and home(parts) != "apps"
    }


def test_only_shells_know_the_system_calls():
    shells = {"memory", "sources", "host", "remote"}
    assert {home(parts) for parts, name in GRAPH if name == "kju._system"} <= shells
