import pytest
from support import oracle

from kju.errors import FormatError
from kju.surface.formats import (
    BYTES_PER_PIXEL,
    PIXMAN_FORMATS,
    R8,
    XR24,
    fourcc,
    fourcc_name,
    from_pixman,
)


def test_a_fourcc_is_a_little_endian_word():
    assert XR24 == 0x34325258 == oracle.XR24  # drm_fourcc.h: DRM_FORMAT_XRGB8888
    assert R8 == 0x20203852  # DRM_FORMAT_R8
    assert fourcc_name(XR24) == "XR24"
    assert BYTES_PER_PIXEL == {XR24: 4, R8: 1}


@pytest.mark.parametrize("name", ["", "XR2", "XR244", "XR2\u00e9"])
def test_a_fourcc_has_four_letters(name):
    with pytest.raises(FormatError) as caught:
        fourcc(name)
    assert caught.value.found == name


def test_unprintable_letters_are_shown():
    assert fourcc_name(0) == "????"
    assert fourcc_name(0xFF0A2041) == "A ??"


@pytest.mark.parametrize("code", PIXMAN_FORMATS)
def test_pixman_codes_say_their_size(code):
    found = from_pixman(code)
    assert found.bytes_per_pixel * 8 == code >> 24
    assert oracle.BYTES[found.name] == found.bytes_per_pixel


def test_an_unknown_pixman_code_says_what_is_known():
    with pytest.raises(FormatError, match="0x20020889") as caught:
        from_pixman(0x20020889)
    assert caught.value.found == 0x20020889
    assert "rgb565" in caught.value.expected
