import io
import json
import os

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from kju.errors import NeedleError, UsageError
from kju.surface.geometry import Rect
from kju.vision.needle import Needle, needles_of


@pytest.fixture
def frame():
    return np.random.default_rng(1).integers(0, 256, (60, 80, 4), np.uint8)


def png(frame, chunk=None):
    info = PngImagePlugin.PngInfo()
    if chunk is not None:
        info.add_itxt("kju-needle", chunk if isinstance(chunk, str) else json.dumps(chunk))
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame[..., 2::-1])).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def test_needle_is_cut_saved_and_loaded(frame, tmp_path):
    cut = Needle.cut(
        frame, (10, 5, 40, 30), exclude=[(12, 8, 5, 6)], click=(20, 20), similarity=0.9
    )
    assert (cut.pixels == frame[5:35, 10:50, :3]).all()
    assert (cut.exclude, cut.click, cut.cut_from) == (
        (Rect(2, 3, 5, 6),), (10, 15), Rect(10, 5, 40, 30),
    )  # fmt: skip
    assert not cut.mask[3, 2] and cut.mask[2, 2] and cut.mask.sum() == 40 * 30 - 30
    path = tmp_path / "login.png"
    cut.save(path)
    again = Needle.load(path)
    assert (again.pixels == cut.pixels).all()
    for name in ("exclude", "click", "similarity", "cut_from"):
        assert getattr(again, name) == getattr(cut, name)
    assert again.name == "login.png"
    with pytest.raises(UsageError, match=r"its name must end in \.png: .*login\.jpg"):
        cut.save(tmp_path / "login.jpg")
    assert [found.name for found in tmp_path.iterdir()] == ["login.png"]


def test_a_plain_picture_is_a_needle(frame):
    needle = Needle.from_bytes(png(frame))
    assert (needle.pixels == frame[..., :3]).all()
    assert needle.mask.all()
    assert (needle.similarity, needle.click, needle.cut_from) == (0.95, None, None)


@pytest.mark.parametrize(
    ("chunk", "field"),
    [
        ("{", "kju-needle"),
        ("[" * 100_000, "kju-needle"),
        ({"exclude": [[1, 2, 3]]}, r"\$.exclude\[0\]"),
        ({"exclude": [[1, 2, 3, "4"]]}, r"\$.exclude\[0\]\[3\]"),
        ({"exclude": [[70, 50, 20, 20]]}, r"exclude\[0\]"),
        ({"exclude": [[0, 0, -5, 5]]}, r"exclude\[0\]"),
        ({"exclude": [[0, 0, 80, 60]]}, "exclude: the areas cover"),
        ({"click": [80, 0]}, "click"),
        ({"similarity": 0}, "similarity"),
        ({"similarity": 7}, "similarity"),
        ({"version": 2}, "version"),
        ({"serverside": 1}, "serverside"),
    ],
)
def test_a_hostile_chunk_is_refused_by_file_and_field(frame, chunk, field):
    with pytest.raises(NeedleError, match=f"evil.png: .*{field}") as caught:
        Needle.from_bytes(png(frame, chunk), "evil.png")
    assert caught.value.path == "evil.png"
    assert caught.value.field


@pytest.mark.parametrize("cut", [0, 8, 20, 60, -30])
def test_a_broken_picture_is_refused(frame, cut):
    with pytest.raises(NeedleError, match=r"evil.png: picture") as caught:
        Needle.from_bytes(png(frame)[:cut], "evil.png")
    assert caught.value.field == "picture"


def test_a_huge_picture_is_refused_before_it_is_unpacked():
    file = io.BytesIO()
    Image.new("1", (16385, 1)).save(file, "PNG")
    with pytest.raises(NeedleError, match="size: 16385x1"):
        Needle.from_bytes(file.getvalue())


def test_another_format_is_refused(frame):
    file = io.BytesIO()
    Image.fromarray(frame[..., :3]).save(file, "BMP")
    with pytest.raises(NeedleError):
        Needle.from_bytes(file.getvalue())


def test_cutting_beyond_the_picture_is_refused(frame):
    with pytest.raises(UsageError, match=r"is outside the picture \(80x60\)"):
        Needle.cut(frame, (50, 50, 40, 20))
    with pytest.raises(UsageError, match="width and height must be 1 or more"):
        Needle.cut(frame, (5, 5, 0, 20))


def test_needle_can_be_given_in_several_forms(frame, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(frame))
    needle = Needle.of(frame)
    found = needles_of([needle, path, str(path), frame])
    assert found[0] is needle
    assert all((one.pixels == needle.pixels).all() for one in found)
    assert len(needles_of(frame)) == 1
    for wrong in (3, [], [None]):
        with pytest.raises(UsageError):
            needles_of(wrong)


def test_channels_are_converted(frame):
    rgb = np.ascontiguousarray(frame[..., 2::-1])
    assert (Needle.of(rgb).pixels == Needle.of(frame).pixels).all()
    assert Needle.of(frame[..., 0]).pixels.shape == (60, 80, 3)
    with pytest.raises(UsageError):
        Needle.of(frame.astype(np.float32))


# ---- openQA


def openqa(tmp_path, frame, areas, **more):
    (tmp_path / "boot.json").write_text(json.dumps({"area": areas, "tags": ["boot"], **more}))
    (tmp_path / "boot.png").write_bytes(png(frame))
    return tmp_path / "boot.json"


def area(x, y, width, height, kind="match", **more):
    return {"xpos": x, "ypos": y, "width": width, "height": height, "type": kind, **more}


def test_openqas_areas_become_one_needle(frame, tmp_path):
    path = openqa(
        tmp_path,
        frame,
        [
            area(10, 10, 20, 8, match=90, click_point={"xpos": 3, "ypos": 4}),
            area(40, 30, 10, 10),
            area(12, 12, 4, 2, "exclude"),
        ],
    )
    for file in (path, path.with_suffix(".png")):
        needle = Needle.load(file)
        assert needle.cut_from == Rect(10, 10, 40, 30)
        assert needle.mask.sum() == 20 * 8 + 100 - 8
        assert needle.mask[0, 0] and needle.mask[29, 39] and not needle.mask[2, 2]
        assert not needle.mask[15, 15]
        assert (needle.click, needle.similarity) == ((3, 4), 0.9)


def test_openqa_clicks_in_the_middle_of_the_last_area(frame, tmp_path):
    areas = [area(10, 10, 20, 8), area(40, 30, 10, 10)]
    assert Needle.load(openqa(tmp_path, frame, areas)).click == (35, 25)
    areas[0]["click_point"] = "center"
    assert Needle.load(openqa(tmp_path, frame, areas)).click == (10, 4)


@pytest.mark.parametrize(
    ("areas", "field"),
    [
        ([], "no area is of type match"),
        ([area(0, 0, 5, 5, "ocr")], "no area is of type match"),
        ([area(70, 0, 20, 5)], r"area\[0\]"),
        ([area(0, 0, 5, 5), area(0, 0, 5, 0)], r"area\[1\]"),
        ([area(0, 0, 5, 5, "guess")], r"\$.area\[0\].type"),
        ([{"xpos": 0}], r"\$.area\[0\]"),
        ([area(0, 0, 5, 5), area(0, 0, 5, 5, "exclude")], "the areas cover"),
        ([area(0, 0, 5, 5, match=0)], "similarity"),
        ([area(0, 0, 5, 5, click_point={"xpos": 1e9, "ypos": 0})], "click"),
        ([area(0, 0, 5, 5, click_point={"xpos": "inf", "ypos": 0})], "infinity"),
        ([area(0, 0, 5, 5, click_point={"xpos": 0, "ypos": "nan"})], "NaN"),
        ([area(0, 0, 5, 5, match="nan")], "similarity"),
        ([area(0, 0, 5, 5, match="inf")], "similarity"),
        (3, r"\$.area"),
    ],
)
def test_openqas_hostile_files_are_refused(frame, tmp_path, areas, field):
    with pytest.raises(NeedleError, match=rf"boot.json: .*{field}"):
        Needle.load(openqa(tmp_path, frame, areas))


def test_a_needle_leaves_out_tuples_too():
    pixels = np.zeros((20, 30, 3), np.uint8)
    needle = Needle(pixels, exclude=[(0, 0, 10, 20)])
    assert needle.exclude == (Rect(0, 0, 10, 20),)
    assert not needle.mask[:, :10].any()
    assert needle.mask[:, 10:].all()


def test_pipe_is_rejected_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(OSError, match=r"not a regular file.*pipe\.png"):
        Needle.load(tmp_path / "pipe.png")
