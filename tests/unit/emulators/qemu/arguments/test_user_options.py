"""Arguments of the user: parsed, and their disks found."""

from __future__ import annotations

import json

import pytest

from kju.emulators.qemu.arguments.devices import own_disks
from kju.emulators.qemu.arguments.user_options import fields, parse
from kju.errors import UsageError


def test_arguments_are_parsed() -> None:
    assert [tuple(o) for o in parse(["-m", "1", "disk", "--snapshot", "-kernel"])] == [
        ("m", "1"),
        ("hda", "disk"),
        ("snapshot", None),
        ("kernel", None),
    ]


def test_fields_of_an_argument_are_parsed() -> None:
    assert fields("user,id=a,,b,x", "type") == {"type": "user", "id": "a,b", "x": "on"}
    assert fields('{"id": 3}', "driver") == {"id": "3"}
    assert fields("[1]", "driver") == {"driver": "[1]"}
    assert fields("{bad", "driver") == {}
    assert fields(None, "driver") == {}


NODE = '{"driver": "qcow2", "file": {"driver": "file", "filename": "/d"}}'
QUORUM = (
    f'{{"driver": "quorum", "vote-threshold": 1, "children": [{NODE},'
    ' {"driver": "raw", "file": {"driver": "file", "filename": "/e"}},'
    ' {"driver": "quorum", "children": [{"driver": "qed", "file": "/f"}]}]}'
)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-hda", "/d"], [("/d", "")]),
        (["/d"], [("/d", "")]),
        (["-drive", "file=/d,format=raw"], [("/d", "raw")]),
        (["-drive", "file=file:/d,format=qcow2"], [("/d", "qcow2")]),
        (["-drive", "driver=qcow2,file.driver=raw,file.file.filename=/d"], [("/d", "qcow2")]),
        (["-drive", "driver=raw,file.driver=file,file.filename=/d"], [("/d", "raw")]),
        (["-blockdev", "driver=file,node-name=f,filename=/d"], [("/d", "")]),
        (["-blockdev", NODE], [("/d", "qcow2")]),
        (["-blockdev", NODE.replace('"', "'")], [("/d", "qcow2")]),
        (["-drive", "file=json:" + NODE.replace(",", ",,")], [("/d", "qcow2")]),
        (["-drive", "file=json: " + NODE.replace(",", ",,")], [("/d", "qcow2")]),
        (["-drive", "file=json:" + NODE.replace(",", ",,").replace('"', "'")], [("/d", "qcow2")]),
        (["-drive", 'file=json:{"file.filename": "/d",, "driver": "qed"}'], [("/d", "qed")]),
        (["-hda", f"json:{NODE}"], [("/d", "qcow2")]),
        (
            ["-drive", "file=/d,backing.driver=qcow2,backing.file.filename=/b"],
            [("/d", ""), ("/b", "qcow2")],
        ),
        (["-blockdev", QUORUM], [("/d", "qcow2"), ("/e", "raw"), ("/f", "qed")]),
        (["-drive", "file=json:" + QUORUM.replace(",", ",,")],
         [("/d", "qcow2"), ("/e", "raw"), ("/f", "qed")]),
        (["-drive", "driver=quorum,children.0.driver=qed,children.0.file.filename=/d"],
         [("/d", "qed")]),
        (["-blockdev", '{"driver": "quorum", "children": ["a", "b"], "vote-threshold": 1}'], []),
        (["-blockdev", '[{"file": "/d"}]'], []),
        (["-drive", "file={d}.img"], [("{d}.img", "")]),
        (["-netdev", "user,id=n"], []),
    ],
)  # fmt: skip
def test_the_users_own_disks_are_found(words: list[str], found: list[tuple[str, str]]) -> None:
    assert own_disks(words) == found


def nested(levels: int, kind: str) -> str:
    begin, end = {"object": ('{"file":', "}"), "list": ('{"children":[', "]}")}[kind]
    return begin * levels + NODE + end * levels


@pytest.mark.parametrize("kind", ["object", "list"])
def test_nested_disks_are_found_or_refused_never_missed(kind: str) -> None:
    assert own_disks(["-blockdev", nested(20, kind)]) == [("/d", "qcow2")]
    for levels in (120, 400, 990, 2_000, 60_000):
        for words in (
            ["-blockdev", nested(levels, kind)],
            ["-hda", f"json:{nested(levels, kind)}"],
        ):
            with pytest.raises(UsageError, match="nested deeper than 100 levels"):
                own_disks(words)


def test_json_in_a_text_of_json_is_followed() -> None:
    text = "/d"
    for _ in range(12):  # each level doubles the backslashes
        text = "json:" + json.dumps({"file": text})
    assert own_disks(["-hda", text]) == [("/d", "")]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{'a': 'b'}", {"a": "b"}),
        (r"""{'it\'s': "it's"}""", {"it's": "it's"}),
        (r"""{'say "a"': 'say \"a\"'}""", {'say "a"': 'say "a"'}),
        (r"""{'back\\': '\n'}""", {"back\\": "\n"}),
        ("{'a': 'b}", {}),
    ],
)
def test_json_may_have_single_quotes_as_for_qemu(written: str, read: dict[str, str]) -> None:
    assert fields(written, "") == read
