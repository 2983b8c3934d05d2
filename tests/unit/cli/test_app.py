import json
import re
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from kju import errors
from kju.cli import app, demo, network
from kju.cli.app import ENTRIES, check_own_options, loaded, split_qemu_arguments
from kju.cli.machines import running as machines
from kju.cli.machines.status import readable
from kju.cli.output import Exit, line_of
from kju.client.targets import attach_to_look, is_address
from kju.emulators.qemu.program import Qemu
from kju.protocol.snapshots import SavedSnapshot


def test_terminal_sequences_from_a_disk_are_escaped(monkeypatch, capsys):
    hostile = "\x1b[2Jx\x9b"
    assert line_of(errors.QemuError(f"{hostile}\nmore")) == r"\x1b[2Jx\x9b more"
    saved = SavedSnapshot(tag=hostile, time=1.0, size=1 << 20, lacking=[hostile])
    machine = SimpleNamespace(snapshots=SimpleNamespace(list=lambda: [saved]))
    monkeypatch.setattr(machines, "attach_to_look", lambda name: nullcontext(machine))
    assert app.run(["snapshot", "ls", "m"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("\\x1b[2Jx\\x9b  19") and out.endswith("not in \\x1b[2Jx\\x9b\n")


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
def test_words_after_two_dashes_are_for_qemu(words, ours, qemu):
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
    """Help takes less than 150 ms because of that."""
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
    assert all(entry.summary in done.stdout for entry in ENTRIES.values())


@pytest.mark.parametrize(
    ("name", "error"),
    [("picture.kju", errors.MachineNotFoundError), ("my picture", errors.UsageError)],
)
def test_the_error_names_a_file_of_the_machines_name(tmp_path, monkeypatch, name, error):
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


def test_a_working_source_is_ok():
    found = Qemu("/qemu", (9, 2, 1), "QEMU 9.2.1", "x86_64", ("dbus",))
    assert found.sources["vram"] == "needs QEMU 10.0, this is 9.2.1"
    sources = readable({"started": 0.0, "qemu": {"sources": found.sources}})["qemu"]["sources"]
    assert sources["display1-map"] == sources["display1-copy"] == "ok"
    assert "needs QEMU 10.0" in sources["vram"]
    assert found._replace(version=(10, 0, 2)).sources["vram"] == ""


COMMANDS = dict(loaded())


def test_every_command_has_its_summary_in_the_table():
    assert len(COMMANDS) > 40
    for words, command in COMMANDS.items():
        first = command.help.splitlines()[0]
        assert first == (ENTRIES[words].summary if words in ENTRIES else first) and first


@pytest.mark.parametrize("words", COMMANDS)
def test_help_describes_every_argument_and_option(words):
    for parameter in COMMANDS[words].params:
        assert parameter.help or parameter.hidden, parameter.name
        # typer adds brackets and dots itself.
        assert not re.search(r"[][.]", parameter.metavar or ""), parameter.name


@pytest.mark.parametrize(
    "call",
    [
        lambda reach: network.serve_machines(["web"], False, "", reach),
        network.route_messages,
        lambda reach: network.mirror("zenoh:a", connect=reach.connect, user=reach.user),
        lambda reach: network.list_screens(reach.connect, reach.user, False, False),
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
        demo.demo("none.img")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "a.iso", "-device", "x"], "kju run a.iso -- -device x"),
        (["run", "-machine", "q35", "a.iso"], "kju run -- -machine q35 a.iso"),
        (["create", "web", "-smp", "2"], "kju create web -- -smp 2"),
    ],
)
def test_a_qemu_option_before_the_dashes_gets_the_command_that_works(words, line, capsys):
    assert app.run(words) == Exit.USAGE
    assert capsys.readouterr().err.endswith(f"put QEMU's options after --: {line}\n")


@pytest.mark.parametrize("words", [["run", "-dw", "a"], ["run", "-m2G"], ["key", "-device"], []])
def test_own_short_options_are_not_qemu_options(words):
    check_own_options(words)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (["info", "nobody", "--json"], 3, "not-found"),
        (["info", "--json"], 3, "not-found"),
        (["ls", "--nothing", "--json"], 2, "usage"),
        (["nothing", "--json"], 2, "usage"),
        (["dump", "./none", "--json"], 7, "surface"),
    ],
)
def test_json_has_errors_as_well(place, capsys, words, code, kind):
    assert app.run(words) == code
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert (error["code"], error["kind"]) == (code, kind)
    assert printed.err == f"kju: {error['message']}\n"


def test_a_wrong_word_is_one_line_with_the_next_command(capsys):
    assert app.run(["ls", "--nothing"]) == Exit.USAGE
    assert capsys.readouterr().err == "kju: no such option: --nothing; see: kju ls --help\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["screenshoot"], "no such command 'screenshoot'; did you mean 'screenshot'"),
        (["create", "web", "--disk", "20X"], "invalid disk size '20X'; write .* such as 20G"),
        (["create", "web", "--firmware", "x"], "use bios, uefi or the path of a firmware file"),
        (["watch", "./empty.kju"], "empty.kju is not a surface but an empty file"),
        (["dump", "sysv:987654321"], "no shared memory segment .* list them with: ipcs -m"),
        (
            ["needle", "empty.png", "-o", "x.png", "--at", "0,0,1,1"],
            "empty.png: picture: not a valid",
        ),
        (["serve"], "give machine names, or --all"),
        (["web", "serve", "--proxy-role", "view"], "a proxy needs --url, the address of the page"),
        (
            ["web", "serve", "--url=https://a/", "--listen=unix:w", "--proxy-role=view"],
            "--proxy-role is for users that the proxy names: add --trust-header",
        ),
        (["mirror", "zenoh:a/b", "--codec", "gif"], "unknown codec 'gif'; choose one of: zstd"),
        (["trust", "ann"], "give ann a role with --role view or --role control, or use --remove"),
        (["trust", "ann", "--role", "admin"], "unknown role 'admin'; choose view or control"),
        (["cert", "user", "ann", "-o", "f"], "is missing: make it with kju cert authority, or"),
        (["cert", "take", "empty.png"], "this file has no key; name one that was made"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_names_the_next_step(place, tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "trust"))
    for name in ("empty.kju", "empty.png"):
        (tmp_path / name).touch()
    assert app.run(words) not in (0, None)
    assert re.search(line, capsys.readouterr().err)


def claimed(monkeypatch, *names):
    monkeypatch.setattr("kju.store.running.names", lambda: list(names))


def test_the_only_machines_name_may_be_left_out(place, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "kju.cli.machines.running.attach", lambda name: asked.append(name) or nullcontext(Fake)
    )
    claimed(monkeypatch, "web")
    assert app.run(["pause"]) == 0
    assert app.run(["pause", "other"]) == 0
    assert asked == ["web", "other"]


class Fake:
    pause = staticmethod(lambda: None)


def test_a_name_is_needed_with_several_machines(place, monkeypatch, capsys):
    claimed(monkeypatch, "a", "b")
    assert app.run(["pause"]) == Exit.USAGE
    assert "name one of: a, b" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["stop"], ["reset"], ["rm"], ["key", "a"], ["screenshot"]])
def test_other_commands_need_the_name(place, monkeypatch, capsys, words):
    claimed(monkeypatch, "web")
    assert app.run(words) == Exit.USAGE
    assert "missing argument" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--machine", "nobody"], ["--machine=nobody"]])
@pytest.mark.parametrize("command", [["type", "hello"], ["snapshot", "save", "tag"], ["info"]])
def test_machine_stands_for_the_first_argument(place, capsys, command, words):
    assert app.run([*command, *words]) == Exit.NOT_FOUND
    assert "no machine 'nobody'" in capsys.readouterr().err
