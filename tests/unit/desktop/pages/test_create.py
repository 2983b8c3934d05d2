"""The form of a new or defined machine: errors by field, the definition, dry runs."""

from __future__ import annotations

import pytest

from kju.client.requests import LaunchPlan
from kju.desktop.pages.create import FIELDS, PROPOSED_DISK, CreateForm
from kju.errors import ConflictError, DefinitionError, KjuError, QemuError, UsageError
from kju.store.machine_toml import KEYS, Definition, decode
from kju.store.toml_edit import known_part


def plan(kind: str = "disk") -> LaunchPlan:
    info = {
        "image": {"kind": kind, "reason": "it is one"},
        "disks": [{"path": "/d", "reason": "ide"}],
    }
    words = ("-accel", "tcg")
    return LaunchPlan("m", "qemu", ("qemu", *words), ((words, "no KVM"),), ("a note",), info)


def test_every_key_of_a_definition_has_a_field_or_belongs_to_kju() -> None:
    assert {field.key for field in FIELDS} - {"disk"} == set(KEYS) - {"base"}


def test_name_is_proposed_from_the_file_until_one_is_typed() -> None:
    form = CreateForm({"debian", "debian-2", "machine"})
    assert form.name == "machine-2"
    form.take_file("/home/me/debian.iso")
    assert form.name == "debian-3"
    form.set("image", "/x/Windows 11 (x64).iso")
    assert form.name == "Windows-11-x64-"
    form.set("name", "mine")
    form.take_file("/home/me/debian.iso")
    assert form.name == "mine"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", "", "a name is needed"),
        ("name", "a b", "cannot be a machine's name"),
        ("name", "taken", "there is a machine named 'taken' already"),
        ("disk", "20", "invalid disk size '20'; write a number and a unit, such as 20G"),
        ("memory", "lots", "invalid memory size 'lots'"),
        ("cpus", "two", "expected a whole number, got a text"),
        ("cpus", "2000", "expected a whole number <= 1024"),
        ("arguments", "-name 'x", "these are not words of a shell: no closing quotation"),
        ("image", "x" * 5000, "expected a text of length <= 4096"),
        ("disks", "a\n" * 1001, "expected a list of length <= 1000"),
    ],
)
def test_wrong_value_is_an_error_of_its_field_alone(key: str, value: str, message: str) -> None:
    form = CreateForm({"taken"})
    assert form.errors == {}
    form.set(key, value)
    assert set(form.errors) == {key}
    assert form.errors[key].lower().startswith(message) or message in form.errors[key]
    assert form.is_wrong and form.order(start=True) is None
    # The other fields are looked at all the same; without a name or a disk's size they cannot be.
    assert (form.dry_run() is None) == (key in ("name", "disk"))
    form.set(key, "fine" if key == "name" else "")
    assert form.errors == {} and form.order(start=True) is not None


def test_several_fields_have_their_errors_at_once() -> None:
    form = CreateForm()
    form.set("memory", "lots")
    form.set("cpus", "two")
    assert set(form.errors) == {"memory", "cpus"}


def test_definition_has_only_what_differs_from_the_defaults() -> None:
    form = CreateForm()
    assert form.text == ""
    for key, value in {
        "image": "/a.iso", "memory": " 2G ", "cpus": "2", "firmware": "uefi", "network": "none",
        "disks": "/b.img\n\n/c.img\n", "disk_bus": "virtio", "devices": "virtio-rng-pci",
        "arguments": "-boot 'menu=on' -name \"a b\"", "qemu": "", "trust_disk": True,
        "labels": "lab,  web ,",
    }.items():  # fmt: skip
        form.set(key, value)
    assert decode(form.text, "f", "m") == Definition(
        image="/a.iso", memory="2G", cpus=2, firmware="uefi", network="none",
        disks=["/b.img", "/c.img"], disk_bus="virtio", devices=["virtio-rng-pci"],
        arguments=["-boot", "menu=on", "-name", "a b"], trust_disk=True,
        labels=["lab", "web"],
    )  # fmt: skip
    assert "qemu" not in form.text


def test_only_the_newest_dry_run_counts() -> None:
    form = CreateForm()
    form.set("image", "/a.img")
    first = form.revision
    form.set("image", "/b.img")
    assert not form.answer(first, KjuError("old"))
    assert form.errors == {} and form.plan is None
    assert form.answer(form.revision, plan())
    assert form.command_line == "qemu -accel tcg"
    assert form.reasons == [
        ("disk", "it is one"),
        ("-accel tcg", "no KVM"),
        ("disk /d", "ide"),
        ("note", "a note"),
    ]
    form.set("image", "/c.img")
    assert form.plan is None


@pytest.mark.parametrize(
    ("error", "field", "message"),
    [
        (DefinitionError("/x/machine.toml:3: image: no file", "f", 3, "image"), "image", "no file"),
        (
            DefinitionError("/a b/machine.toml:3: disks[1]: bad", "f", 3, "disks"),
            "disks",
            "line 2: bad",
        ),
        (ConflictError("no such bus").about("disk_bus"), "disk_bus", "no such bus"),
        (QemuError("missing").about("qemu"), "qemu", "missing"),
        (KjuError("anything\x1b[31m"), "", "anything\\x1b[31m"),
        (KjuError("anything").about("surface"), "", "anything"),
    ],
)  # fmt: skip
def test_error_of_a_dry_run_stands_at_its_field(error: KjuError, field: str, message: str) -> None:
    form = CreateForm()
    form.answer(form.revision, error)
    assert form.errors == {field: message}
    if field:
        form.set(field, "virtio" if field == "disk_bus" else "2G")
        assert form.errors == {}


def test_error_of_an_order_stays_until_the_next_change() -> None:
    form = CreateForm()
    form.fail(QemuError("QEMU ended"))
    form.answer(form.revision, plan())
    assert form.errors == {"": "QEMU ended"}
    form.set("memory", "2G")
    assert form.errors == {}


def test_disk_is_proposed_for_a_cd_unless_the_user_has_decided() -> None:
    form = CreateForm()
    form.take_file("/a.iso")
    before = form.revision
    form.answer(before, plan("cdrom"))
    assert (form.disk, form.revision) == (PROPOSED_DISK, before + 1)
    assert form.dry_run().disk == PROPOSED_DISK
    form.set("disk", "")
    form.answer(form.revision, plan("cdrom"))
    assert form.disk == ""

    other = CreateForm()
    other.take_file("/a.img")
    other.answer(other.revision, plan("disk"))
    assert other.disk == ""


def test_guest_without_a_disk_is_noted() -> None:
    form = CreateForm()
    assert form.notes == ["No image is given: the guest has no disk."]
    form.set("disk", "1G")
    assert form.notes == []


OLD = """\
# keep me
name = "web"
memory = "2G" # and me
base = "other"
image = 'disk.qcow2'
future = [1, 2]
[later]
x = 1
"""


def test_edit_keeps_comments_and_unknown_keys_byte_for_byte() -> None:
    form = CreateForm()
    form.edit("web", OLD)
    assert not form.is_new and form.errors == {}
    assert form.text == OLD and form.disk == ""
    assert "disk" not in {field.key for field in form.fields}
    assert form.notes == [
        "kju does not know future, [later]: this is kept, and the machine cannot start with it."
    ]
    form.set("memory", "4G")
    assert form.text == OLD.replace("2G", "4G")
    form.set("cpus", "2")
    line = "future = [1, 2]\n"
    assert form.text == OLD.replace("2G", "4G").replace(line, line + "cpus = 2\n")
    form.set("memory", "")
    assert "memory" not in form.text and "# and me\n" in form.text
    order = form.order(start=False)
    assert (order.name, order.old, order.start) == ("web", OLD, False)
    request = form.dry_run()
    assert (request.machine, request.new) == ("web", False)
    assert request.definition == known_part(form.text) and not form.can_start


def test_errors_of_several_fields_are_found_together() -> None:
    form = CreateForm()
    form.set("image", "/nowhere.iso")
    form.set("memory", "lots")
    request = form.dry_run()
    assert "image" in request.definition and "memory" not in request.definition
    assert form.answer(form.revision, UsageError("cannot be read").about("image"))
    assert set(form.errors) == {"image", "memory"}
    assert form.answer(form.revision, plan())
    assert set(form.errors) == {"memory"}
    assert form.plan is None and form.command_line == "", "of another amount of memory"


def test_failed_start_can_be_tried_again() -> None:
    form = CreateForm()
    form.set("devices", "e1000,mac=x")
    form.fail(QemuError("-device e1000,mac=x: Property 'e1000.mac' doesn't take value 'x'"))
    assert set(form.errors) == {"devices"} and not form.is_wrong
    assert form.order(start=True) is not None
    form.set("devices", "e1000")
    assert form.errors == {}


def test_definition_with_a_wrong_value_is_left_to_the_editor() -> None:
    form = CreateForm()
    for text in ("memory = 'lots'", "memory = [", "image = 1"):
        with pytest.raises(DefinitionError, match="kju edit web"):
            form.edit("web", text)
    assert form.is_new


def test_text_that_the_form_cannot_change_is_an_error() -> None:
    """An escaped name of a key is valid TOML, and is not found by its name."""
    form = CreateForm()
    form.edit("web", '"mem\\u006fry" = "2G"\n')
    form.set("memory", "4G")
    assert form.dry_run() is None
    assert form.errors
    with pytest.raises(DefinitionError):
        form.order(start=True)
