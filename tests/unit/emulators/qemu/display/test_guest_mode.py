"""The video mode of a guest: any values of its registers, and one reading after another."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kju.emulators.qemu.display.guest_mode import (
    DOUBT,
    HIDDEN,
    LISTEN_AFTER,
    REGISTERS,
    GuestMode,
    OtherMode,
    Registers,
    is_blank,
    memory_name,
    mode_of,
    parse_registers,
    words,
)
from kju.surface import MAX_SIDE
from kju.surface.geometry import Place

MIB = 1 << 20
SIZE = 16 * MIB
GOOD = Registers(
    id=0xB0C5, xres=1024, yres=768, bpp=32, enable=0x41, bank=0, virt_width=1024,
    virt_height=4096, x_offset=0, y_offset=0, memory=SIZE >> 16, reserved=0,
)  # fmt: skip

# As QEMU 10.0.2 wrote it.
ANSWER = """\
00000000febf1500: 0xb0c5 0x0500 0x0320 0x0020 0x0041 0x0000 0x0578 0x0bb6
00000000febf1510: 0x0000 0x0000 0x0100 0x0000
"""


# ---- The monitor's output


def test_registers_are_read_from_the_monitors_output():
    found = parse_registers(ANSWER.replace("\n", "\r\n"))
    assert found == (0xB0C5, 1280, 800, 32, 0x41, 0, 1400, 2998, 0, 0, 256, 0)
    assert found.known


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Cannot access memory\r\n",
        ANSWER.splitlines()[0],
        ANSWER + "00000000febf1518: 0x0000\r\n",
        ANSWER.replace("0x0578", "0x00000578a"),
        ANSWER.replace("0x0578", "0x10000"),
        ANSWER.replace("0x0578", "-0x0578z"),
        ANSWER.replace(":", ""),
    ],
)
def test_other_output_is_rejected(answer):
    assert parse_registers(answer) is None


@given(st.text())
def test_any_output_gives_words_or_none(answer):
    for count in (1, REGISTERS):
        found = words(answer, count)
        assert found is None or (len(found) == count and max(found) < 1 << 32)


def test_words_of_any_size():
    assert words("00000000febf0400: 0x20\r\n", 1) == [0x20]
    assert words("00000000febf1604: 0x1e1e1e1e\r\n", 1) == [0x1E1E1E1E]
    assert words("00000000febf1604: 0x1e1e1e1e\r\n", 2) is None


@pytest.mark.parametrize(("number", "known"), [(0xB0C0, True), (0xB0CF, True), (0xB0D0, False),
                                               (0, False), (0xFFFF, False)])  # fmt: skip
def test_registers_are_known_by_their_number(number, known):
    assert GOOD._replace(id=number).known is known


# ---- The picture that the registers select


def test_a_plain_mode():
    assert mode_of(GOOD, SIZE) == Place(1024, 768, 4096, 0)


def test_wider_rows_and_another_place():
    moved = GOOD._replace(virt_width=1400, x_offset=100, y_offset=50)
    assert mode_of(moved, SIZE) == Place(1024, 768, 5600, 50 * 5600 + 400)


def test_rows_narrower_than_the_picture_are_as_wide():
    # bochs-display's registers begin with a virtual width of 0.
    for virtual in (0, 8, 1023):
        assert mode_of(GOOD._replace(virt_width=virtual), SIZE) == Place(1024, 768, 4096, 0)


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({}, 1024 * 768 * 4),
        ({"xres": 1, "yres": 1, "virt_width": 1}, 4),
        ({"y_offset": 4096 - 768}, SIZE),
        # The last row ends with the memory, though a whole row would not fit.
        ({"virt_width": 2048, "x_offset": 1024, "y_offset": 2048 - 768}, SIZE),
        ({"xres": 2048, "yres": 2048, "virt_width": 2048}, SIZE),
    ],
)
def test_up_to_the_last_byte(change, size):
    found = mode_of(GOOD._replace(**change), size)
    assert isinstance(found, Place)
    assert found.offset + found.stride * (found.height - 1) + found.width * 4 == size
    assert isinstance(mode_of(GOOD._replace(**change), size - 1), OtherMode)


@pytest.mark.parametrize(
    ("change", "unknown", "reason"),
    [
        ({"enable": 0x40}, False, "text"),
        ({"enable": 0}, False, "text"),
        ({"enable": 0x43}, True, "capabilities"),
        ({"enable": 0x43, "xres": 16000, "yres": 12000}, True, "capabilities"),
        # Capabilities of a mode that is off: there is no mode, whatever their values.
        ({"enable": 0x42}, False, "text"),
        *(({"bpp": bits}, False, f"{bits} bits") for bits in (0, 4, 8, 15, 16, 24, 31, 33, 65535)),
        ({"xres": 0}, True, "not a mode"),
        ({"yres": 0}, True, "not a mode"),
        ({"yres": 4097}, True, "leaves"),
        ({"y_offset": 4096 - 767}, True, "leaves"),
        ({"x_offset": 1, "y_offset": 4096 - 768}, True, "leaves"),
        ({"y_offset": 65535}, True, "leaves"),
        ({"xres": MAX_SIDE + 1, "yres": 64}, True, "larger"),
        ({"xres": 64, "virt_width": 64, "yres": MAX_SIDE + 1}, True, "larger"),
        ({"id": 0xFFFF}, False, "answer 0xffff"),
        ({"id": 0}, False, "answer 0x0"),
    ],
)
def test_registers_without_a_picture(change, unknown, reason):
    found = mode_of(GOOD._replace(**change), SIZE)
    assert isinstance(found, OtherMode)
    assert found.unknown is unknown
    assert reason in found.reason


WORD = st.integers(0, 0xFFFF) | st.sampled_from([0, 1, 2, 8, 32, 1024, 0x41, 0xB0C5, 0xFFFF])


@given(
    st.builds(
        Registers,
        id=st.sampled_from([0xB0C0, 0xB0C5, 0xFFFF, 0]),
        xres=WORD,
        yres=WORD,
        bpp=st.sampled_from([32, 32, 32, 16, 0]) | WORD,
        enable=st.sampled_from([0x41, 1, 0xFFFD]) | WORD,
        bank=WORD,
        virt_width=WORD,
        virt_height=WORD,
        x_offset=WORD,
        y_offset=WORD,
        memory=WORD,
        reserved=WORD,
    ),
    st.integers(0, 256 * MIB),
)
@example(Registers(0xB0C5, 8, 1, 32, 1, 0, 8, 0, 65535, 65535, 0, 0), 16 * MIB)
@example(Registers(*[0xFFFF] * 12), 256 * MIB)
def test_no_mode_leaves_the_memory(registers, size):
    found = mode_of(registers, size)
    if isinstance(found, Place):
        width, height, stride, offset = found
        assert 0 < width <= MAX_SIDE
        assert 0 < height <= MAX_SIDE
        assert stride >= width * 4
        assert offset >= 0
        assert offset + stride * (height - 1) + width * 4 <= size
    else:
        assert found.reason


# ---- Blanking, and the memory's name


@pytest.mark.parametrize(
    ("attribute", "blank"),
    [(0x20, False), (0x3F, False), (0xFF, False), (0x01, True), (0x1F, True), (0, None)],
)
def test_attribute_index_blanks_the_screen(attribute, blank):
    assert is_blank(attribute) is blank


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("pci/0000/02.0", "0000:00:02.0"),
        ("pci/0000/02.0/01.0", "0000:00:02.0:01.0"),
        ("pci/0000/1e.0/02.0/1f.7", "0000:00:1e.0:02.0:1f.7"),
        ("pci/0000", None),
        ("pci", None),
        ("", None),
        ("isa/0000/02.0", None),
        ("/machine/unattached/device[0]", None),
    ],
)
def test_the_memory_of_a_device_is_found_by_its_address(address, name):
    assert memory_name(address) == name


# ---- One reading after another

PLACE = Place(640, 480, 2560, 0)
TEXT = OtherMode("a text mode")
UNKNOWN = OtherMode("the registers make no sense", unknown=True)


@pytest.fixture
def mode() -> GuestMode:
    made = GuestMode()
    assert made.update(PLACE, 10.0)
    return made


def test_new_size_is_a_new_mode_and_a_new_offset_is_a_page_flip(mode: GuestMode) -> None:
    assert not mode.update(PLACE, 11.0), "the same mode"
    assert not mode.flips
    assert not mode.update(PLACE._replace(offset=4096), 12.0)
    assert mode.flips
    assert mode.changed_at == 12.0
    assert mode.update(Place(800, 600, 3200, 0), 13.0)
    assert not mode.flips


def test_unknown_registers_leave_the_mode_valid_for_a_while(mode: GuestMode) -> None:
    mode.update(UNKNOWN, 20.0)
    mode.update(UNKNOWN, 20.0 + DOUBT / 2)
    assert mode.place == PLACE
    assert mode.reason == ""
    mode.update(UNKNOWN, 20.0 + DOUBT)
    assert mode.place is None
    assert mode.reason == UNKNOWN.reason


def test_valid_registers_in_between_begin_the_doubt_anew(mode: GuestMode) -> None:
    mode.update(UNKNOWN, 20.0)
    mode.update(PLACE, 20.0 + DOUBT / 2)
    mode.update(UNKNOWN, 20.0 + DOUBT)
    assert mode.place == PLACE


def test_hidden_mode_has_no_visible_place_until_the_mode_changes(mode: GuestMode) -> None:
    mode.hidden = True
    assert mode.visible_place is None
    assert mode.reason == HIDDEN
    mode.update(PLACE._replace(offset=4096), 11.0)
    assert mode.hidden, "a page flip changes nothing"
    mode.update(Place(800, 600, 3200, 0), 12.0)
    assert mode.visible_place == Place(800, 600, 3200, 0)


def test_mode_outside_of_the_memory_lasts_after_a_while_unless_hidden(mode: GuestMode) -> None:
    mode.note_visibility(10.0)
    assert not mode.lasts(1000.0)
    mode.update(TEXT, 20.0)
    mode.note_visibility(20.0)
    mode.note_visibility(25.0)
    assert not mode.lasts(20.0 + LISTEN_AFTER)
    assert mode.lasts(20.1 + LISTEN_AFTER)
    mode.hidden = True
    assert not mode.lasts(20.1 + LISTEN_AFTER)
    mode.update(PLACE, 50.0)
    mode.note_visibility(50.0)
    assert not mode.lasts(100.0)
