"""A pytest plug-in: machines as fixtures; what their screens showed is kept when a test fails.

It stands outside of the package so that a suite that has no use for it does not import kju, and
with it NumPy: it imports nothing but pytest until a test asks for a machine.
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
    "machine(image, scope, **options): what the fixture `machine` launches: the options are "
    "those of kju.launch; scope is function, class, module or session"
)


class _Shown:
    """The machines of one test, with what is recorded of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines: list[tuple[Machine, Record | None]] = []


_SHOWN = pytest.StashKey[_Shown]()
_POOL = pytest.StashKey[dict[str, "Machine"]]()


# ---- Options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the command line, and those of them that a configuration may hold."""
    group = parser.getgroup("kju", "machines (kju)")
    group.addoption("--kju-image", metavar="PATH", help="the image that `machine` launches")
    group.addoption("--kju-name", metavar="NAME", help="attach to this running machine instead")
    group.addoption(
        "--kju-artifacts",
        metavar="DIR",
        help="where to keep what a failed test's machines showed (by default in pytest's own "
        "folder for temporary files)",
    )
    group.addoption(
        "--kju-report",
        choices=("always", "failed", "never"),
        default="failed",
        help="when to write an HTML report of what a test's machines showed (default: failed)",
    )
    parser.addini("kju_image", "the image that `machine` launches")
    parser.addini("kju_memory", "its memory, such as 2G")
    parser.addini("kju_args", "QEMU's own arguments for it", type="args")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


# ---- Fixtures


@pytest.fixture
def launch_machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Machine]]:
    """Launches machines: called as `kju.launch` is. They end with the test."""
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
    """A running machine: what the marker `machine` says, or the options, or the configuration."""
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
    """What a test's machine is to be launched with, and for how long it is shared."""
    config = item.config
    given = {
        "image": config.getoption("--kju-image") or config.getini("kju_image"),
        "memory": config.getini("kju_memory"),
        "args": config.getini("kju_args"),
    }
    options = {name: value for name, value in given.items() if value}
    known = _launch_options()
    scope = "function"
    # From the module's to the test's own: the nearest says it last.
    for marker in reversed(list(item.iter_markers("machine"))):
        words = dict(marker.kwargs)
        if len(marker.args) == 1:
            words["image"] = marker.args[0]
        scope = words.pop("scope", scope)
        if unknown := sorted(words.keys() - known):
            raise pytest.UsageError(f"{item.nodeid}: the marker machine knows no {unknown[0]!r}")
        options |= words
    if scope != "function" and scope not in _SCOPES:
        raise pytest.UsageError(f"{item.nodeid}: a machine's scope is no {scope!r}: {_MARKER}")
    if not options:
        raise pytest.UsageError(
            f"{item.nodeid}: no machine is named: mark the test with "
            "@pytest.mark.machine(image=...), or give --kju-image or --kju-name"
        )
    return options, scope


def _launch_options() -> frozenset[str]:
    """The options that the marker takes: a test's machine ends with it, so none is detached."""
    from kju.protocol.launch_options import LaunchOptions

    return frozenset(LaunchOptions.__annotations__) - {"detach"} | {"image"}


def _shared(item: pytest.Item, scope: str, options: dict[str, Any]) -> Machine:
    """The machine of a class, module or session; launched when the first test wants it."""
    import kju

    node = item.getparent(_SCOPES[scope])
    if node is None:
        raise pytest.UsageError(f"{item.nodeid}: there is no {scope} to share a machine with")
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
    # Long names are cut in front: the end tells the tests of a module apart.
    return base / re.sub(r"[^\w.=-]+", "-", item.nodeid).strip("-.")[-150:]


# ---- What is kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep what a test's machines show, while they are still there."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    shown = item.stash.get(_SHOWN, None)
    if shown is None or not shown.machines:
        return report  # type: ignore[return-value]
    mode = item.config.getoption("--kju-report")
    if report.failed or (mode == "always" and report.when == "call"):
        try:
            kept = _keep(shown, item, call, report, mode)
        except Exception as error:  # a test's own failure matters more than its pictures
            kept = [f"not everything could be kept: {type(error).__name__}: {error}"]
        from kju.escaping import one_line

        # Errors have words of QEMU and of peers, and this goes to a terminal.
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
    """A screenshot and the log of input, as far as they can still be had."""
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
    error = _screen_timeout(call.excinfo.value if call.excinfo else None)
    if error is not None:
        path = folder / "wait.png"
        error.save(path)
        kept.append(f"what was waited for, and what was there: {path}")
        picture = path.read_bytes()
    return Failure(report.longreprtext, picture)


def _screen_timeout(error: BaseException | None) -> Any:  # noqa: ANN401  as above
    """The timeout of a wait that an error is, or came from."""
    timeout = sys.modules.get("kju.vision.timeout")
    seen: set[int] = set()
    while error is not None and timeout is not None and id(error) not in seen:
        if isinstance(error, timeout.ScreenTimeoutError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
