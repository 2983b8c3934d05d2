"""The exit codes of the command, and the line of an error."""

import pytest

from kju import errors
from kju.cli.exits import Exit, code_of, line_of
from kju.client.targets import UnreadableError


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


def test_exit_codes_are_stable():
    assert {e.name: e.value for e in Exit} == {
        "OK": 0, "FAILURE": 1, "USAGE": 2, "NOT_FOUND": 3, "EXISTS": 4, "QEMU": 5, "TIMEOUT": 6,
        "SURFACE": 7, "GONE": 8, "LIMIT": 9, "INTERRUPTED": 130, "TERMINATED": 143,
    }  # fmt: skip


def test_an_error_is_one_line():
    assert line_of(errors.KjuError("a\n  b\tc")) == "a b c"
    assert line_of(errors.KjuError()) == "KjuError"
    assert line_of(OSError(13, "Permission denied", "/x")) == "/x: Permission denied"
