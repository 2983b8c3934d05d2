"""tests/unit mirrors src/kju: each module has a unit test, an integration test or a named suite.

`a/b.py` is tested by `a/test_b.py` in tests/unit or tests/integration; more files about it are
named `a/test_b_SUBJECT.py`. A module without such a file has an entry in `SUITES`, which names the
file that tests it. A core module is tested in tests/unit.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import kju

SOURCE = Path(kju.__file__).parent
TESTS = Path(__file__).resolve().parents[1]

#: Files of tests, and the modules that they test besides their own.
SUITES: dict[str, str] = {
    "conformance/test_memory.py": (
        "memory.address memory.memfd memory.posix memory.produce memory.shared memory.sysv"
    ),
    "conformance/test_sources.py": "sources.base",
    "conformance/test_surface.py": (
        "client.consumer.base client.consumer.following client.consumer.origin"
    ),
    "conformance/test_viewers.py": (
        "viewers.connection viewers.contract viewers.status viewers.targets viewers.viewer"
    ),
    "conformance/test_waits.py": "client.aio.waits client.looks client.waits",
    "integration/codegen/test_recorder.py": "cli.codegen",
    "integration/desktop/pages/test_create_page.py": (
        "desktop.qt.pages.create_fields desktop.qt.pages.create_page desktop.qt.pages.create_view"
    ),
    "integration/desktop/test_managing.py": (
        "desktop.pages.panel desktop.qt.action_menu "
        "desktop.qt.computers_dialog desktop.qt.dialogs desktop.qt.managing "
        "desktop.qt.pages.side_panel desktop.qt.pages.snapshot_page "
        "desktop.qt.typing_bar viewers.qt.tools.pasting"
    ),
    "integration/desktop/machines/test_local_machines.py": "desktop.machines.machines",
    "integration/desktop/test_main_window.py": (
        "desktop.qt.consoles desktop.qt.main_window desktop.qt.menu_bar "
        "desktop.qt.pages.create_tabs desktop.qt.wall.empty_page "
        "desktop.qt.wall.first_steps desktop.qt.wall.flow_layout "
        "desktop.qt.wall.text_search desktop.qt.wall.tile_actions desktop.qt.wall.tile_delegate "
        "desktop.qt.wall.tile_pictures desktop.qt.wall.wall desktop.qt.wall.wall_model "
        "desktop.qt.wall.wall_page"
    ),
    "unit/codegen/test_script.py": "codegen.forms",
    "integration/agents/mcp/test_session.py": ("agents.mcp.results agents.mcp.tools"),
    "integration/agents/mcp/test_server.py": "cli.mcp",
    "integration/agents/mcp/test_http.py": "files.sockets",
    "qemu/test_mcp.py": "agents.mcp.launching",
    "qemu/test_snapshot_starts.py": "emulators.qemu.snapshot_start",
    "integration/gym/test_env.py": "gym.episode gym.observing gym.resets gym.stepping",
    "integration/gym/test_vector_env.py": "gym.episodes",
    "integration/agents/test_computer.py": "agents.aio.computer",
    "integration/client/test_acting.py": ("client.aio.acting client.aio.sending client.sending"),
    "integration/client/test_locators.py": "client.aio.locators",
    "integration/client/test_events.py": "client.requests client.waiting",
    "integration/desktop/wall/test_tiles.py": "desktop.wall.tile_follower",
    "integration/client/test_machine.py": (
        "client.aio.input_devices client.aio.launching client.aio.link client.aio.machine "
        "client.aio.snapshots client.input_devices client.launching client.link client.snapshots"
    ),
    "integration/viewers/test_screen_tools.py": (
        "viewers.qt.background viewers.qt.tools.needle_dialog viewers.qt.tools.paste_dialog "
        "viewers.qt.tools.picker viewers.qt.tools.player "
        "viewers.qt.tools.record_tool viewers.qt.tools.screen_tools"
    ),
    "integration/remote/test_link.py": (
        "emulators.mirror.console remote.drawing remote.transport serving.audience "
        "serving.carrier "
        "serving.zenoh_carrier"
    ),
    "integration/viewers/qt/test_heads.py": "viewers.qt.view_parts",
    "integration/viewers/qt/test_window.py": (
        "viewers.qt.ask viewers.qt.badge viewers.qt.icons viewers.qt.key_actions "
        "viewers.qt.machine_actions viewers.qt.menu viewers.qt.palette viewers.qt.strip "
        "viewers.qt.tools.capture"
    ),
    "integration/desktop/wall/test_remote_tiles.py": "desktop.wall.remote_session",
    "multiprocess/test_spawned_hosts.py": "client.processes host.spawner",
    "multiprocess/test_far.py": "cli.demo.link cli.demo.remote",
    "integration/web/test_logins.py": "web.sessions",
    "integration/web/test_proxy.py": "web.listening",
    "multiprocess/test_web_gateway.py": ("web.remote.actions web.remote.mirror_origin"),
    "qemu/test_web.py": "web.actions",
    "multiprocess/test_fleet.py": "fleet.hosts",
    "multiprocess/test_fleet_network.py": (
        "cli.fleet.watching fleet.network.joining fleet.network.node_sender"
        " fleet.network.publisher fleet.network.sender fleet.network.watcher"
    ),
    "multiprocess/test_fleet_on_ray.py": (
        "cli.fleet.commands fleet fleet.actors fleet.aio.opening fleet.cluster"
        " fleet.images.transfer fleet.machine_tasks fleet.near fleet.opening"
    ),
    "multiprocess/test_fleet_gym.py": "fleet.beside gym.fleet_env gym.node_episodes",
    "multiprocess/test_fleet_commands.py": "cli.fleet.work fleet.local",
    "multiprocess/test_leases.py": "store.leased",
    "qemu/test_web_gateway.py": "web.remote.screen",
    "multiprocess/test_senders.py": "emulators.mirror.emulator",
    "multiprocess/test_terminal_viewer.py": (
        "viewers.terminal.backend viewers.terminal.tty viewers.terminal.view"
    ),
    "multiprocess/test_wait_command.py": "cli.wait",
    "multiprocess/test_xvfb.py": "emulators.xvfb.emulator",
    "qemu/test_boards.py": "emulators.qemu.board_probe",
    "qemu/test_cli.py": "cli.__main__ cli.demo cli.machines.running cli.recording cli.screen",
    "qemu/test_desktop.py": ("desktop.first_steps desktop.qt.app desktop.single_instance"),
    "qemu/test_detached_launch.py": "host.detaching",
    "qemu/test_display1.py": "emulators.qemu.display.display",
    "qemu/test_dry_run.py": "client.aio.planning client.planning host.dry_run",
    "qemu/test_forks.py": (
        "cli.machines.forks client.aio.starting client.forks client.starting "
        "emulators.qemu.forks.prepared_fork"
    ),
    "qemu/test_faults.py": "emulators.spawn",
    "qemu/test_fork_chaos.py": "emulators.qemu.forks.flattening",
    "qemu/test_host.py": (
        "emulators.qemu.emulator emulators.qemu.launch emulators.tasks host.__main__ host.machine"
    ),
    "qemu/test_signals.py": "signals",
    "qemu/test_stepping.py": "emulators.qemu.input.stepper",
    "qemu/test_vram.py": "emulators.qemu.display.screenshot",
    "qemu/test_window.py": "viewers.qt viewers.qt.numbers viewers.qt.widget",
    "unit/agents/test_dialects.py": (
        "agents.dialects.anthropic agents.dialects.arguments agents.dialects.gym_anything "
        "agents.dialects.keysyms agents.dialects.openai"
    ),
    "unit/acting/test_inputs.py": "acting.checks",
    "unit/acting/test_locating.py": "vision.finding",
    "unit/cli/test_app.py": "cli.command client.targets",
    "unit/emulators/input/test_keyboard.py": "acting.holders",
    "unit/emulators/input/test_pace.py": "emulators.qemu.input.gauges emulators.qemu.input.usb",
    "unit/emulators/qemu/input/test_pointer.py": "emulators.qemu.input.events",
    "unit/emulators/qemu/test_arguments.py": (
        "emulators.qemu.arguments.board emulators.qemu.arguments.devices "
        "emulators.qemu.arguments.plan"
    ),
    "unit/emulators/qemu/test_snapshots.py": "emulators.qemu.snapshot_disks",
    "unit/emulators/test_console.py": (
        "emulators.console_surface emulators.input.devices emulators.supervisor"
    ),
    "unit/emulators/test_launch.py": "emulators.base",
    "unit/fleet/test_roster.py": "fleet.change_log fleet.messages",
    "unit/fleet/bases/test_keeping.py": "fleet.bases.copying fleet.bases.manifest",
    "qemu/test_fleet_bases.py": "fleet.bases.opening",
    "unit/host/test_lease.py": "protocol.leases",
    "unit/files/test_folder.py": "files.ownership files.tree",
    "unit/protocol/test_framing.py": (
        "protocol.dry_run protocol.forks protocol.messages protocol.snapshots protocol.stepping"
    ),
    "unit/report/test_page.py": ("report.markup report.moments report.timeline"),
    "unit/remote/test_proof.py": "remote.certificates",
    "unit/remote/test_trust.py": "remote.trust_folder",
    "unit/sources/display1/test_frames.py": "sources.display1.messages",
    "unit/sources/display1/test_presenter.py": "sources.display1.scanout",
    "unit/store/test_definitions.py": "store.defining",
    "unit/store/test_log_files.py": "emulators.child",
    "unit/test_escaping.py": "cli.doctor",
    "unit/vision/test_glyphs.py": "vision.cells",
    "unit/vision/test_looking.py": "vision.areas vision.timeout",
    "unit/vision/test_needle.py": "vision.openqa",
    "unit/wire/test_session.py": (
        "wire.encoder wire.greeting wire.messages wire.received_picture wire.receiver_session "
        "wire.sender_session wire.sent_picture"
    ),
}
#: Files of tests/unit about more than one module.
ACROSS = {
    "emulators/qemu/test_arguments.py",
    "files/test_faults.py",
    "files/test_full_disk.py",
    "files/test_one_module.py",
    "test_architecture.py",
    "test_documentation.py",
    "test_layers.py",
    "test_mirror.py",
    "test_packaging.py",
    "test_sizes.py",
    "wire/test_age.py",
    "wire/test_block_work.py",
    "wire/test_pixels.py",
    "wire/test_predict.py",
    "wire/test_session.py",
    "wire/test_session_greeting.py",
    "wire/test_session_hostile.py",
    "wire/test_session_loss.py",
}


@cache
def core() -> tuple[str, ...]:
    """Return the modules and folders that test_layers.py holds to be free of I/O."""
    for node in ast.parse((TESTS / "unit" / "test_layers.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CORE":
            return tuple(ast.literal_eval(node.value))
    raise AssertionError("test_layers.py has no CORE")


def is_core(module: str) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in core())


def defines_something(path: Path) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.parse(path.read_text()).body)


def modules() -> list[str]:
    """Return the modules; a package counts as one when its `__init__` defines something."""
    found = ["pytest_kju"]
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[-1] != "__init__":
            found.append(".".join(parts))
        elif len(parts) > 1 and defines_something(path):
            found.append(".".join(parts[:-1]))
    return found


def own_tests(module: str) -> list[Path]:
    """Return the test files that are named after a module; of a core module those in unit."""
    *folders, name = module.split(".")
    name = name.strip("_")
    return [
        path
        for suite in (("unit",) if is_core(module) else ("unit", "integration"))
        for pattern in (f"test_{name}.py", f"test_{name}_*.py")
        for path in TESTS.joinpath(suite, *folders).glob(pattern)
    ]


MODULES = modules()
NAMED = [(module, suite) for suite, names in SUITES.items() for module in names.split()]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_tested(module: str) -> None:
    suites = [suite for each, suite in NAMED if each == module]
    assert own_tests(module) or suites, (
        f"{module} has no tests: add tests/unit/{module.replace('.', '/')} with test_ before its"
        " last part, or name its suite in SUITES"
    )
    if is_core(module):
        unit = all(suite.startswith("unit/") for suite in suites)
        assert unit, f"{module} is core: test it in tests/unit, not in {suites}"


@pytest.mark.parametrize(("module", "suite"), NAMED)
def test_a_named_suite_exists_and_is_needed(module: str, suite: str) -> None:
    assert module in MODULES, f"{module} does not exist any more: remove it from SUITES"
    assert not own_tests(module), f"{module} has tests of its own now: remove it from SUITES"
    assert (TESTS / suite).is_file(), f"tests/{suite} of {module} does not exist any more"


def test_a_module_has_one_named_suite() -> None:
    named = [module for module, _ in NAMED]
    assert len(named) == len(set(named))


def test_every_unit_test_is_about_a_module() -> None:
    unit = TESTS / "unit"
    named = {path for module in MODULES for path in own_tests(module)}
    others = {str(p.relative_to(unit)) for p in unit.rglob("test_*.py") if p not in named}
    assert others <= ACROSS, "name the file after its module, or add it to ACROSS"


def test_a_module_without_tests_is_found() -> None:
    with pytest.raises(AssertionError, match=r"wire\.planted has no tests"):
        test_a_module_is_tested("wire.planted")


def test_a_core_module_with_another_suite_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "NAMED", [("wire.planted", "qemu/test_cli.py")])
    with pytest.raises(AssertionError, match=r"wire\.planted is core"):
        test_a_module_is_tested("wire.planted")
