"""A pytest plug-in: machines as fixtures, and reports of their screens when a test fails.

It is outside the package: pytest imports it for every suite, and a suite without machines must not
import kju and NumPy. It imports only pytest until a test uses a machine.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kju import Machine
    from kju.report import Record

_SCOPES: dict[str, type[pytest.Collector]] = {
    "class": pytest.Class,
    "module": pytest.Module,
    "session": pytest.Session,
}
_MARKER = (
    "machine(image, scope, **options): the machine of the fixture `machine`: options of "
    "kju.launch; scope is function, class, module or session"
)


class _Shown:
    """The machines of one test, with their recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines: list[tuple[Machine, Record | None]] = []


_SHOWN = pytest.StashKey[_Shown]()
_POOL = pytest.StashKey[dict[str, "Machine"]]()


# ---- Options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command line and of the configuration file."""
    group = parser.getgroup("kju", "machines (kju)")
    group.addoption("--kju-image", metavar="PATH", help="image for the fixture `machine`")
    group.addoption("--kju-name", metavar="NAME", help="attach to this running machine instead")
    group.addoption(
        "--kju-artifacts",
        metavar="DIR",
        help="folder for the screenshots and reports of failed tests (default: in pytest's folder "
        "for temporary files)",
    )
    group.addoption(
        "--kju-report",
        choices=("always", "failed", "never"),
        default="failed",
        help="tests with an HTML report of their machines' screens (default: failed)",
    )
    parser.addini("kju_image", "image for the fixture `machine`")
    parser.addini("kju_memory", "its memory, such as 2G")
    parser.addini("kju_args", "QEMU's own arguments for it", type="args")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


# ---- Fixtures


@pytest.fixture
def launch_machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Machine]]:
    """Return a function that launches machines as `kju.launch` does. They end with the test."""
    import kju

    with contextlib.ExitStack() as stack:

        def launch(image: Any = None, **options: Any) -> Machine:  # noqa: ANN401  as kju.launch
            machine = stack.enter_context(kju.launch(image, **options))
            _show(stack, request.node, tmp_path_factory, machine)
            return machine

        yield launch


@pytest.fixture
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Return a running machine, by the marker `machine`, the options, or the configuration."""
    import kju

    with contextlib.ExitStack() as stack:
        if name := request.config.getoption("--kju-name"):
            machine = stack.enter_context(kju.attach(name))
        else:
            options, scope = _wanted(request.node)
            if scope == "function":
                machine = stack.enter_context(kju.launch(**options))
            else:
                machine = _shared(request.node, scope, options)
        _show(stack, request.node, tmp_path_factory, machine)
        yield machine


def _wanted(item: pytest.Item) -> tuple[dict[str, Any], str]:
    """Return the launch options of a test's machine, and the scope in which it is shared."""
    config = item.config
    given = {
        "image": config.getoption("--kju-image") or config.getini("kju_image"),
        "memory": config.getini("kju_memory"),
        "args": config.getini("kju_args"),
    }
    options = {name: value for name, value in given.items() if value}
    known = _launch_options()
    scope = "function"
    # From the module's markers to the test's own, which override the others.
    for marker in reversed(list(item.iter_markers("machine"))):
        words = dict(marker.kwargs)
        if len(marker.args) == 1:
            words["image"] = marker.args[0]
        scope = words.pop("scope", scope)
        if unknown := sorted(words.keys() - known):
            raise pytest.UsageError(f"{item.nodeid}: unknown option {unknown[0]!r}: {_MARKER}")
        options |= words
    if scope != "function" and scope not in _SCOPES:
        raise pytest.UsageError(f"{item.nodeid}: unknown scope {scope!r}: {_MARKER}")
    if not options:
        raise pytest.UsageError(
            f"{item.nodeid}: this test has no machine: mark it with "
            "@pytest.mark.machine(image=...), or give --kju-image or --kju-name"
        )
    return options, scope


def _launch_options() -> frozenset[str]:
    """Return the options of the marker: not `detach`, as a test's machine ends with the test."""
    from kju.protocol.launch_options import LaunchOptions

    return frozenset(LaunchOptions.__annotations__) - {"detach"} | {"image"}


def _shared(item: pytest.Item, scope: str, options: dict[str, Any]) -> Machine:
    """Return the machine of a class, module or session; its first test launches it."""
    import kju

    node = item.getparent(_SCOPES[scope])
    if node is None:
        raise pytest.UsageError(f"{item.nodeid}: scope {scope!r}: this test has no {scope}")
    pool = node.stash.setdefault(_POOL, {})
    wanted = repr(sorted(options.items()))
    found = pool.get(wanted)
    if found is not None and found.is_alive:
        return found
    machine = pool[wanted] = kju.launch(**options)
    node.addfinalizer(machine.close)
    return machine


def _show(
    stack: contextlib.ExitStack,
    item: pytest.Item,
    temporary: pytest.TempPathFactory,
    machine: Machine,
) -> None:
    """Record a machine for the rest of a test."""
    shown = item.stash.get(_SHOWN, None)
    if shown is None:
        shown = item.stash[_SHOWN] = _Shown(_folder(item, temporary))
    record = None
    if item.config.getoption("--kju-report") != "never" and machine.screens:
        from kju.report import recording

        record = stack.enter_context(recording(machine, title=item.nodeid))
    shown.machines.append((machine, record))


def _folder(item: pytest.Item, temporary: pytest.TempPathFactory) -> Path:
    given = item.config.getoption("--kju-artifacts")
    base = Path(given).absolute() if given else temporary.getbasetemp() / "kju-report"
    # Long names are cut at the front: the tests of a module differ in the end.
    return base / re.sub(r"[^\w.=-]+", "-", item.nodeid).strip("-.")[-150:]


# ---- What is kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Save the screens of a test's machines before they end."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    shown = item.stash.get(_SHOWN, None)
    if shown is None or not shown.machines:
        return report  # type: ignore[return-value]
    mode = item.config.getoption("--kju-report")
    if report.failed or (mode == "always" and report.when == "call"):
        try:
            kept = _keep(shown, item, call, report, mode)
        except Exception as error:  # the failure of the test matters more
            kept = [f"the report is incomplete: {type(error).__name__}: {error}"]
        from kju.escaping import one_line

        # Errors have texts of QEMU and of peers, and this is printed on a terminal.
        report.sections.append(("kju", "\n".join(map(one_line, kept))))
    return report  # type: ignore[return-value]


def _keep(
    shown: _Shown,
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    mode: str,
) -> list[str]:
    from kju.files import make_folders

    make_folders(shown.folder)
    kept: list[str] = []
    failure = None
    if report.failed:
        failure = _failure(call, report, shown.folder, kept)
        for number, (machine, record) in enumerate(shown.machines):
            prefix = f"{machine.name}-" if number else ""
            _keep_machine(machine, record, shown.folder, prefix, kept)
    records = [record for _, record in shown.machines if record is not None]
    if mode != "never" and records:
        from kju.report import save

        path = shown.folder / "report.html"
        verdict = "" if report.failed else report.outcome
        save(path, records, title=item.nodeid, failure=failure, verdict=verdict)
        kept.append(f"report: {path}")
    return kept


def _keep_machine(
    machine: Machine, record: Record | None, folder: Path, prefix: str, kept: list[str]
) -> None:
    """Save a screenshot and the log of input, as far as possible."""
    from kju.files import write_output

    screenshot, log = folder / f"{prefix}screen.png", folder / f"{prefix}input.jsonl"
    try:
        machine.screen.screenshot(screenshot, cursor=True)
    except Exception as error:
        pictures = record.story().pictures if record else ()
        if not pictures:
            kept.append(f"no screenshot of {machine.name}: {error}")
        else:
            write_output(screenshot, pictures[-1].png)
            kept.append(f"the last screen of {machine.name}: {screenshot}")
    else:
        kept.append(f"screenshot of {machine.name}: {screenshot}")
    try:
        from kju.protocol.input_log import encode

        entries = record.inputs if record else machine.input_log()
        write_output(log, b"".join(map(encode, entries)))
    except Exception as error:
        kept.append(f"no log of input of {machine.name}: {error}")
    else:
        kept.append(f"input: {log}")


def _failure(
    call: pytest.CallInfo[None], report: pytest.TestReport, folder: Path, kept: list[str]
) -> Any:  # noqa: ANN401  a type of kju's, which is not imported for suites without machines
    from kju.report import Failure

    picture = b""
    error = _screen_error(call.excinfo.value if call.excinfo else None)
    if error is not None:
        path = folder / "wait.png"
        error.save(path)
        kept.append(f"last frame of the wait, and its best match: {path}")
        picture = path.read_bytes()
    return Failure(report.longreprtext, picture)


def _screen_error(error: BaseException | None) -> Any:  # noqa: ANN401  as above
    """Return the error about a screen that an error is, or that caused it."""
    timeout = sys.modules.get("kju.vision.timeout")
    seen: set[int] = set()
    while error is not None and timeout is not None and id(error) not in seen:
        if isinstance(error, timeout.ScreenError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
