"""The machines of a launch."""

import pytest

from kju.errors import UsageError
from kju.fleet.bases.source import FleetBase
from kju.fleet.images.source import FleetImage
from kju.fleet.placement import Part, Room
from kju.fleet.specs import (
    DEFAULT_MEMORY,
    MAX_COUNT,
    OVERHEAD,
    check_count,
    fork_specs,
    machine_specs,
    memory_bytes,
)
from kju.store.forks.description import FileIdentity


def test_options_become_the_fields_of_a_launch_and_a_demand():
    options = {"image": "/images/a.qcow2", "memory": "2G", "cpus": 2, "args": ["-nic", "none"]}
    one, two = machine_specs(["a-1", "a-2"], options, owner="me", max_restarts=3, spread=True)
    assert one.launch == {
        "image": "/images/a.qcow2",
        "memory": "2G",
        "cpus": 2,
        "arguments": ["-nic", "none"],
        # Several machines have one image: none of them writes to it.
        "overlays": True,
    }
    assert one.demand.room.memory == (2 << 30) + OVERHEAD
    assert (one.name, one.owner, one.max_restarts, one.spread) == ("a-1", "me", 3, True)
    assert (two.name, two.launch) == ("a-2", one.launch)


def test_an_image_to_copy_takes_room_for_its_copy():
    image = FleetImage("0" * 64, FileIdentity(1, 2, 5000, 3, 4), "/images/a.qcow2", "n1")
    (one,) = machine_specs(["a"], {"image": image.path}, image=image, at_hand=frozenset({"n1"}))
    assert one.image == image
    here = frozenset({"n1"})
    assert one.demand.parts == (Part("0" * 64 + ".qcow2", Room(disk=5000), here),)


def test_a_machine_with_a_snapshot_takes_room_for_its_own_copy_of_the_image():
    image = FleetImage("0" * 64, FileIdentity(1, 2, 5000, 3, 4), "/images/a.qcow2", "n1")
    options = {"image": image.path, "snapshot": "ready"}
    one, two = machine_specs(["a", "b"], options, image=image, processors=2)
    assert one.launch["snapshot"] == "ready" and one.launch["overlays"]
    for each in (one, two):
        assert (each.demand.room.copies, each.demand.room.processors) == (5000, 2)
    with pytest.raises(UsageError, match="snapshot needs an image"):
        machine_specs(["a"], {"snapshot": "ready"})
    with pytest.raises(UsageError, match="cannot be a snapshot's name"):
        machine_specs(["a"], {"image": image.path, "snapshot": "../ready"}, image=image)


def test_forks_share_a_base_and_the_images_below_it():
    image = FleetImage("0" * 64, FileIdentity(1, 2, 5000, 3, 4), "/images/a.qcow2", "n1")
    base = FleetBase(
        "01234567-0123456789abcdef", "web", "ready", "n1", memory=1 << 30, tmpfs=3 << 29,
        disk=100, kvm=True, images=(image,),
    )  # fmt: skip
    here = frozenset({"n1"})
    one, two = fork_specs(["a", "b"], base, at_hand={base.key: here}, owner="me", spread=True)
    assert one.base == base and one.image is None
    assert one.demand.parts == (
        Part(base.key, Room(tmpfs=3 << 29, disk=100), here),
        Part(image.key, Room(disk=5000)),
    )
    assert (one.demand.kvm, one.demand.room.memory) == (True, (1 << 30) + OVERHEAD)
    assert (two.name, two.owner, two.spread, two.demand) == ("b", "me", True, one.demand)
    # A fork that writes little takes little; never more than its guest has.
    (small,) = fork_specs(["c"], base, memory="64M")
    assert small.demand.room.memory == (64 << 20) + OVERHEAD
    (large,) = fork_specs(["d"], base, memory="64G")
    assert large.demand.room.memory == (1 << 30) + OVERHEAD
    with pytest.raises(UsageError, match="invalid memory size 'much'"):
        fork_specs(["e"], base, memory="much")


def test_a_machine_without_a_guest_needs_no_guest_memory():
    (one,) = machine_specs(["a"], {"xvfb": True})
    assert one.launch == {"emulator": "xvfb"}
    assert one.demand.room.memory == OVERHEAD


@pytest.mark.parametrize("options", [{"name": "b"}, {"detach": True}, {"surface": "/x"}])
def test_options_of_one_machine_are_refused(options):
    with pytest.raises(UsageError, match="not an option of a fleet's machines"):
        machine_specs(["a"], options)


def test_unknown_options_and_bad_names_are_refused():
    with pytest.raises(TypeError, match="colour"):
        machine_specs(["a"], {"colour": "red"})
    with pytest.raises(UsageError, match="cannot be a machine's name"):
        machine_specs(["../a"], {})


@pytest.mark.parametrize("count", [0, -1, MAX_COUNT + 1])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(UsageError, match="number of machines"):
        check_count(count)


@pytest.mark.parametrize(
    ("text", "size"),
    [("256", 256 << 20), ("2G", 2 << 30), ("1.5g", 3 << 29), ("512M", 512 << 20)],
)
def test_memory_is_read_as_qemu_reads_it(text, size):
    assert memory_bytes(text, guest=True) == size


def test_memory_has_a_default():
    assert memory_bytes(None, guest=True) == DEFAULT_MEMORY
