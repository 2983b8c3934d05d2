import re
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import typer

from kju import errors
from kju.cli import demo, network, snapshots
from kju.cli.app import app, split_qemu_arguments
from kju.cli.exits import Exit, code_of, line_of
from kju.cli.manage import said
from kju.client.targets import UnreadableError, attach_to_look, is_address
from kju.emulators.qemu.program import Qemu
from kju.protocol.messages import Saved


def test_what_a_disk_says_is_not_obeyed_by_a_terminal(monkeypatch, capsys):
    hostile = "\x1b[2Jx\x9b"
    assert line_of(errors.QemuError(f"{hostile}\nmore")) == r"\x1b[2Jx\x9b more"
    saved = Saved(tag=hostile, time=1.0, size=1 << 20, lacking=[hostile])
    machine = SimpleNamespace(snapshots=SimpleNamespace(list=lambda: [saved]))
    monkeypatch.setattr(snapshots, "attach_to_look", lambda name: nullcontext(machine))
    snapshots.list_("m", as_json=False)
    out = capsys.readouterr().out
    assert out.startswith("\\x1b[2Jx\\x9b  19") and out.endswith("not in \\x1b[2Jx\\x9b\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.KjuError("x"), 1),
        (errors.PeerError("x"), 1),
        (OSError(2, "No such file", "f"), 1),
        (errors.UsageError("x"), 2),
        (errors.ConflictError("x"), 2),
        (errors.GeometryError("x"), 2),
        (errors.RoleError("x"), 2),
        (errors.MachineNotFoundError("x"), 3),
        (errors.MachineExistsError("x"), 4),
        (errors.QemuError("x"), 5),
        (errors.WaitTimeoutError("x"), 6),
        (errors.FormatError("x"), 7),
        (errors.MemoryLostError("x"), 7),
        (errors.UnavailableError("x"), 7),
        (errors.InconsistentError("x"), 7),
        (UnreadableError("x"), 7),
        (errors.ProducerGoneError("x"), 8),
        (errors.SupersededError("x"), 8),
        (errors.MachineGoneError("x"), 8),
        (errors.LimitError("x", "l", 1, 2), 9),
    ],
)
def test_every_error_has_its_code(error, code):
    assert code_of(error) == code


def test_codes_do_not_move():
    assert {e.name: e.value for e in Exit} == {
        "OK": 0, "FAILURE": 1, "USAGE": 2, "NOT_FOUND": 3, "EXISTS": 4, "QEMU": 5, "TIMEOUT": 6,
        "SURFACE": 7, "GONE": 8, "LIMIT": 9, "INTERRUPTED": 130, "TERMINATED": 143,
    }  # fmt: skip


def test_an_error_is_one_line():
    assert line_of(errors.KjuError("a\n  b\tc")) == "a b c"
    assert line_of(errors.KjuError()) == "KjuError"
    assert line_of(OSError(13, "Permission denied", "/x")) == "/x: Permission denied"


@pytest.mark.parametrize(
    ("words", "ours", "qemu"),
    [
        (["run", "a.iso", "--", "-m", "1G"], ["run", "a.iso"], ["-m", "1G"]),
        (["run", "--", "--help"], ["run"], ["--help"]),
        (["run", "--", "-append", "a -- b", "--"], ["run"], ["-append", "a -- b", "--"]),
        (["run", "a.iso"], ["run", "a.iso"], []),
        (["type", "x", "--", "-n"], ["type", "x", "--", "-n"], []),
        ([], [], []),
    ],
)
def test_what_follows_two_dashes_is_for_qemu(words, ours, qemu):
    assert split_qemu_arguments(words) == (ours, qemu)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("name", False),
        ("a.b-c_d", False),
        ("fd", False),
        ("./name", True),
        ("/tmp/x", True),
        ("posix:/x", True),
        ("sysv:12", True),
        ("file:x", True),
    ],
)
def test_names_and_addresses(text, address):
    assert is_address(text) == address


def test_help_imports_nothing_heavy():
    """That is why it answers within 150 ms."""
    code = """
import sys
sys.argv = ["kju", "--help"]
from kju.cli.__main__ import main
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
heavy = {"numpy", "rich", "asyncio", "msgspec", "PIL", "pydantic", "kju.surface", "kju.host"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: kju" in done.stdout


@pytest.mark.parametrize(
    ("name", "error"),
    [("picture.kju", errors.MachineNotFoundError), ("my picture", errors.UsageError)],
)
def test_a_file_that_is_named_like_a_machine_is_pointed_at(tmp_path, monkeypatch, name, error):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as before:
        attach_to_look(name, or_address=True)
    assert "./" not in str(before.value)
    (tmp_path / name).touch()
    with pytest.raises(error) as before:
        attach_to_look(name)
    assert "./" not in str(before.value)
    with pytest.raises(error, match=f" \\./{name}"):
        attach_to_look(name, or_address=True)


def test_sources_are_said_as_they_are():
    found = Qemu("/qemu", (9, 2, 1), "QEMU 9.2.1", "x86_64", ("dbus",))
    assert found.sources["vram"] == "needs QEMU 10.0, this is 9.2.1"
    sources = said({"started": 0.0, "qemu": {"sources": found.sources}})["qemu"]["sources"]
    assert sources["display1-map"] == sources["display1-copy"] == "ok"
    assert "needs QEMU 10.0" in sources["vram"]
    assert found._replace(version=(10, 0, 2)).sources["vram"] == ""


def test_no_command_hides_another():
    def names(app):
        for command in app.registered_commands:
            yield command.name or command.callback.__name__.rstrip("_").replace("_", "-")
        for group in app.registered_groups:
            yield from [group.name] if group.name else names(group.typer_instance)

    found = list(names(app))
    assert len(found) > 30
    assert len(found) == len(set(found))


def commands(command, words=("kju",)):
    """Each command of the command line, with the words that run it."""
    if not hasattr(command, "commands"):
        yield " ".join(words), command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS)
def test_help_describes_every_argument_and_option(words):
    for parameter in COMMANDS[words].params:
        assert parameter.help or parameter.hidden, parameter.name
        # typer adds the brackets and the dots.
        assert not re.search(r"[][.]", parameter.metavar or ""), parameter.name


@pytest.mark.parametrize(
    "call",
    [
        lambda reach: network.serve(["web"], False, "", reach),
        network.router,
        lambda reach: network.mirror("zenoh:a", "", False, network.Way(), reach),
        lambda reach: network.ls(reach.connect, reach.user, False, False),
    ],
    ids=["serve", "router", "mirror", "ls"],
)
def test_the_network_names_its_extra_before_certificates(monkeypatch, tmp_path, call):
    monkeypatch.setitem(sys.modules, "zenoh", None)
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "none"))
    reach = network.Reach(connect=["host.example:7447"], user="ann")
    with pytest.raises(errors.MissingError, match=r"^a screen .* needs zenoh; install with: "):
        call(reach)


def test_a_missing_image_of_the_demo_is_named():
    with pytest.raises(errors.UsageError, match=r"^the image none\.img does not exist; use a path"):
        demo.guests.find("none.img")
