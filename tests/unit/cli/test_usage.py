"""Words and help of a command: the same for every version of typer."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.cli import app
from kju.cli.app import ENTRIES, load
from kju.cli.output import Exit
from kju.cli.usage import Words, arranged, help_rows, split, usage_words
from kju.emulators.qemu.program import locate
from kju.errors import QemuError


def parameters(name: str) -> list[object]:
    return list(load(ENTRIES[name]).params)


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        ("pointer", ["m", "wheel", "-3"], Words([], ["m", "wheel", "-3"])),
        ("pointer", ["m", "move", "-3", "-2.5"], Words([], ["m", "move", "-3", "-2.5"])),
        ("pointer", ["m", "--console", "1", "x"], Words(["--console", "1"], ["m", "x"])),
        ("type", ["m", "--", "--layout"], Words([], ["m", "--layout"])),
        ("type", ["m", "-", "--boot-command"], Words(["--boot-command"], ["m", "-"])),
        ("wait", ["m", "--stable", "-1"], Words(["--stable", "-1"], ["m"])),
        ("run", ["-m"], Words(["-m"], [])),
    ],
)
def test_options_are_parted_from_arguments(command: str, words: list[str], expected: Words) -> None:
    assert split(words, parameters(command)) == expected


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        ("pointer", ["m", "wheel", "3", "--console", "1"], None),
        (
            "pointer",
            ["m", "wheel", "-3", "--console", "1"],
            ["--console", "1", "--", "m", "wheel", "-3"],
        ),
        ("info", ["--machine", "m", "--json"], ["--json", "--", "m"]),
        ("type", ["a b", "--machine=m"], ["--", "m", "a b"]),
        ("key", ["a", "b", "--machine", "m"], ["--", "m", "a", "b"]),
    ],
)
def test_words_are_arranged_for_the_parser(
    command: str, words: list[str], expected: list[str] | None
) -> None:
    assert arranged(words, parameters(command)) == (words if expected is None else expected)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "trust"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("run --memory", "option '--memory' requires an argument; see: kju run --help"),
        ("run --memory 2X", "invalid memory size '2X'; write a number and a unit, such as 2G"),
        ("create c --disk 20", "invalid disk size '20'; write a number and a unit, such as 20G"),
        ("run --cpus abc", "--cpus must be a whole number from 1 to 1024, not 'abc'"),
        ("run --cpus 0", "--cpus must be a whole number from 1 to 1024, not '0'"),
        ("wait m --timeout abc", "--timeout must be a number of 0 or more, not 'abc'"),
        ("wait m --timeout=-1", "--timeout must be a number of 0 or more, not '-1'"),
        ("key m a --console 16", "--console must be a whole number from 0 to 15, not '16'"),
        ("replay m f --speed x", "--speed must be a number, not 'x'"),
        ("events m --since x", "--since must be a whole number of 0 or more, not 'x'"),
        ("run --bogus", "no such option: --bogus; see: kju run --help"),
        ("run --memry 2G", "no such option: --memry; did you mean --memory? see: kju run --help"),
        ("stop x --machine y", "the machine is given twice: x and --machine y"),
        ("snapshot save x t --machine y", "the machine is given twice: x and --machine y"),
        ("serve a --listen foo", "--listen: 'foo' is not an address; write HOST:PORT or"
         " PROTOCOL/HOST:PORT"),
        ("serve a --all", "give machine names, or --all (not both)"),
        ("needle x.png -o n.jpg --at 0,0,1,1", "a needle is a PNG file: its name must end in"
         " .png: 'n.jpg'"),
        ("needle x.png -o n.png --at 1,2,0,4", "--at 1,2,0,4: width and height must be 1 or more, x"
         " and y 0 or more"),
        ("needle x.png -o n.png --at 5,2,10,10 --click 900,900", "--click 900,900 is outside the"
         " rectangle --at 5,2,10,10"),
        ("needle x.png -o n.png --at 5,2,10,10 --exclude 0,0,2,2", "--exclude 0,0,2,2 is outside"
         " the rectangle --at 5,2,10,10"),
        ("needle x.png -o n.png --at 5000,2,10,10", "--at 5000,2,10,10 is outside the picture"
         " (8x6)"),
        ("replay m nofile", "nofile: No such file or directory"),
        ("cert take nofile", "nofile: No such file or directory"),
    ],
)  # fmt: skip
def test_an_error_names_the_word_that_is_wrong(
    place: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    from PIL import Image

    Image.new("RGB", (8, 6)).save(tmp_path / "x.png")
    code = app.run(words.split())
    assert capsys.readouterr().err.splitlines()[-1] == f"kju: {line}"
    assert code == Exit.USAGE


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("stop c", "the machine 'c' is not running"),
        ("pause c", "the machine 'c' is not running; start it: kju start c"),
        ("rm a", "no machine 'a' is defined; defined machines: c"),
        ("clone a b", "no machine 'a' is defined; defined machines: c"),
        ("pause a", "no machine 'a' is running; start it: kju run --detach --name a IMAGE"),
        ("stop a", "no machine 'a' is running"),
    ],
)
def test_an_error_never_suggests_the_opposite(
    place: None, capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    assert app.run(["create", "c"]) == Exit.OK
    assert capsys.readouterr().err.startswith("no image given: the guest has no disk\n")
    assert app.run(words.split()) == Exit.NOT_FOUND
    assert capsys.readouterr().err == f"kju: {line}\n"


def test_a_refused_machine_gets_no_note_about_its_image(
    place: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["create", "c", "--memory", "2X"]) == Exit.USAGE
    assert "no image given" not in capsys.readouterr().err


def test_commands_that_change_something_say_so(
    place: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["create", "c"]) == Exit.OK
    capsys.readouterr()
    assert app.run(["rm", "c"]) == Exit.OK
    assert capsys.readouterr().out == "c is removed\n"
    assert app.run(["cert", "authority"]) == Exit.OK
    assert app.run(["cert", "user", "ann", "-o", "ann.key"]) == Exit.OK
    capsys.readouterr()
    for user, note in (("ann", ""), ("bob", " (no such user has a key here yet)")):
        assert app.run(["trust", user, "--role", "view"]) == Exit.OK
        assert capsys.readouterr().out == f"{user}: role view{note}\n"


def test_a_negative_number_reaches_the_command(
    place: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["pointer", "web", "wheel", "-3"]) == Exit.NOT_FOUND


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("key", "[OPTIONS] NAME CHORD..."),
        ("pointer", "[OPTIONS] NAME ACTION [VALUE]..."),
        ("run", "[OPTIONS] [IMAGE]"),
        ("mirror", "[OPTIONS] ADDRESS [NAME]"),
    ],
)
def test_usage_is_the_same_for_every_typer(command: str, usage: str) -> None:
    assert " ".join(usage_words(parameters(command))) == usage


def test_help_rows_have_defaults_and_limits() -> None:
    rows = help_rows(load(ENTRIES["wait"]), parameters("wait"))
    assert rows["Arguments"][0][0] == "NAME"
    options = dict(rows["Options"])
    assert options["--timeout SECONDS"].endswith("  [default: 60; 0 or more]")
    assert options["--console N"] == "The guest's console, from 0.  [default: 0; 0 to 15]"
    assert "--colour, --color COLOUR" in options and options["--change"].endswith("changes.")
    mirror = dict(help_rows(load(ENTRIES["mirror"]), parameters("mirror"))["Options"])
    assert mirror["--lossy / --lossless"].endswith("  [default: lossless]")
    run = dict(help_rows(load(ENTRIES["run"]), parameters("run"))["Options"])
    assert "-m, --memory SIZE" in run and run["--cpus N"].endswith("  [1 to 1024]")


def test_a_qemu_that_is_no_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KJU_QEMU", "/gone")
    with pytest.raises(QemuError, match=r"^QEMU '/gone' \(from \$KJU_QEMU\) does not exist or is"):
        locate()
    with pytest.raises(QemuError, match=r"^QEMU '/nope' does not exist or is not executable$"):
        locate("/nope")
