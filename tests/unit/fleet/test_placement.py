"""Placement: the room of nodes, shared parts, and the answer of a full fleet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import FleetFullError
from kju.fleet.placement import (
    Demand,
    Instance,
    Node,
    NodeFacts,
    Part,
    Room,
    Wanted,
    choose_node,
    take_room,
)

GIB = 1 << 30


def node(name="n1", *, memory=8, tmpfs=2, processors=4.0, kvm=False, parts=()):
    total = Room(memory=memory * GIB, tmpfs=tmpfs * GIB, processors=processors)
    return Node(NodeFacts(name, total, kvm, frozenset(parts)))


def demand(memory=1, *, parts=(), **more):
    return Demand(Room(memory=memory * GIB), parts, **more)


def base(key="base", tmpfs=1):
    return Part(key, Room(tmpfs=tmpfs * GIB))


def test_a_node_without_room_for_a_machines_own_copy_gets_none():
    copied = Demand(Room(memory=GIB, copies=2 * GIB))
    full, roomy = (
        Node(NodeFacts(name, Room(memory=8 * GIB, disk=9 * GIB, copies=size * GIB)))
        for name, size in (("full", 1), ("roomy", 4))
    )
    for number in range(2):
        assert choose_node([full, roomy], copied) is roomy
        roomy.take(Instance("a", number), copied)
    with pytest.raises(FleetFullError, match="full lacks 1 GiB of disk for the copies of machines"):
        choose_node([full, roomy], copied)


@pytest.mark.parametrize(("one_disk", "machines"), [(False, 4), (True, 3)])
def test_an_image_and_the_copies_of_machines_share_a_disk(one_disk, machines):
    image = Part("image", Room(disk=2 * GIB))
    copied = Demand(Room(memory=GIB, copies=2 * GIB), (image,))
    room = Room(memory=64 * GIB, disk=8 * GIB, copies=8 * GIB)
    found = Node(NodeFacts("n", room, one_disk=one_disk))
    taken = 0
    while not found.lacks(copied):
        found.take(Instance("a", taken), copied)
        taken += 1
    assert taken == machines
    # Once it has been copied the free space is less.
    found.facts = NodeFacts("n", room, parts=frozenset({"image"}), one_disk=one_disk)
    found.release(Instance("a", 0))
    assert not found.lacks(copied)


def test_a_node_with_a_full_disk_gets_no_machine_with_an_image_to_copy():
    image = Part("image", Room(disk=GIB))
    full, roomy = node("full"), Node(NodeFacts("roomy", Room(memory=9 * GIB, disk=3 * GIB // 2)))
    assert choose_node([full, roomy], demand(parts=(image,))) is roomy
    assert choose_node([full, roomy], demand()) is full
    with pytest.raises(FleetFullError, match="full lacks 1 GiB of disk"):
        choose_node([full], demand(parts=(image,)))
    roomy.take("a", demand(parts=(image,)))
    # The same image needs no more room; another one has none.
    assert choose_node([full, roomy], demand(parts=(image,))) is roomy
    with pytest.raises(FleetFullError, match=r"roomy lacks 0\.5 GiB of disk"):
        choose_node([roomy], demand(parts=(Part("other", Room(disk=GIB)),)))


def test_a_part_takes_no_room_on_a_node_that_has_it_at_hand():
    image = Part("image", Room(disk=GIB), frozenset({"full"}))
    full, other = node("full"), node("other")
    wanted = demand(parts=(image,))
    assert choose_node([other, full], wanted) is full
    full.take("a", wanted)
    assert (full.used.disk, full.bytes_to_copy(wanted)) == (0, 0)
    full.release("a")
    assert full.used == Room()
    with pytest.raises(FleetFullError, match="other lacks 1 GiB of disk"):
        choose_node([other], wanted)


def test_one_part_may_be_at_hand_where_another_is_copied():
    image = Part("image", Room(disk=GIB), frozenset({"a", "b"}))
    copied = Part("base", Room(tmpfs=GIB), frozenset({"a"}))
    wanted = demand(parts=(image, copied))
    one = node("b")
    one.take("x", wanted)
    assert (one.used.disk, one.used.tmpfs) == (0, GIB)
    # A launch that knows of fewer nodes shares the parts.
    one.take("y", demand(parts=(Part("base", Room(tmpfs=GIB)),)))
    assert one.used.tmpfs == GIB
    one.release("x")
    assert one.used.tmpfs == GIB
    one.release("y")
    assert one.used == Room()


def test_a_part_takes_its_room_once_from_the_first_machine_to_the_last():
    one = node()
    one.take("a", demand(parts=(base(),)))
    one.take("b", demand(parts=(base(),)))
    assert one.used == Room(memory=2 * GIB, tmpfs=GIB)
    one.release("a")
    assert one.used == Room(memory=GIB, tmpfs=GIB)
    one.release("b")
    assert one.used == Room()


def test_a_machine_that_was_not_taken_releases_nothing():
    one = node()
    one.take("a", demand())
    one.release("b")
    assert one.used == Room(memory=GIB)


def test_a_machine_whose_part_is_in_use_fits_where_another_does_not():
    one = node(tmpfs=1)
    one.take("a", demand(parts=(base(),)))
    assert not one.lacks(demand(parts=(base(),)))
    assert list(one.lacks(demand(parts=(base("other"),)))) == ["tmpfs"]


def test_a_machine_goes_where_its_parts_lie():
    here, there = node("a"), node("b", parts=["base"])
    assert choose_node([here, there], demand(parts=(base(),))) is there


def test_a_part_in_use_lies_on_its_node():
    here, there = node("a"), node("b")
    there.take("m", demand(parts=(base(),)))
    assert choose_node([here, there], demand(parts=(base(),))) is there


def test_machines_are_packed_unless_they_are_to_be_spread():
    here, there = node("a"), node("b")
    there.take("m", demand())
    assert choose_node([here, there], demand()) is there
    assert choose_node([here, there], demand(), spread=True) is here


def test_of_equal_nodes_the_first_name_is_chosen():
    assert choose_node([node("b"), node("a")], demand()).facts.name == "a"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (demand(9), "n1 lacks 1 GiB of memory"),
        (demand(kvm=True), "n1 lacks KVM"),
        (Demand(Room(processors=6)), "n1 lacks 2 processors"),
        (demand(10, kvm=True), "n1 lacks 2 GiB of memory and KVM"),
        (demand(node="n7"), "no node 'n7'"),
        (demand(9, node="n1"), "n1 lacks 1 GiB of memory"),
    ],
)
def test_a_full_fleet_names_what_is_missing(wanted, words):
    with pytest.raises(FleetFullError, match=words):
        choose_node([node()], wanted)


def test_a_fleet_without_nodes_says_so():
    with pytest.raises(FleetFullError, match="has no node"):
        choose_node([], demand())


def test_a_draining_node_is_named():
    one = node()
    one.draining = True
    with pytest.raises(FleetFullError, match="n1 is being drained") as caught:
        choose_node([one], demand())
    assert caught.value.lacking == {"n1": ("is being drained",)}


def test_a_message_about_many_nodes_is_short():
    nodes = [node(f"n{n:02}") for n in range(50)]
    with pytest.raises(FleetFullError, match="47 more nodes lack memory") as caught:
        choose_node(nodes, demand(9))
    assert len(caught.value.lacking) == 50
    assert len(str(caught.value)) < 300


def test_shares_of_processors_fill_a_node_exactly():
    one = node(processors=1.0)
    for number in range(10):
        assert not one.lacks(Demand(Room(processors=0.1)))
        one.take(number, Demand(Room(processors=0.1)))
    assert list(one.lacks(Demand(Room(processors=0.1)))) == ["processors"]


demands = st.builds(
    Demand,
    st.builds(
        Room,
        memory=st.integers(0, 3 * GIB),
        tmpfs=st.integers(0, GIB),
        processors=st.floats(0, 2, allow_nan=False),
    ),
    st.lists(st.sampled_from([base("x"), base("y"), base("z", 2)]), unique=True).map(tuple),
)


@given(st.lists(demands, max_size=20), st.randoms())
def test_a_node_is_never_used_beyond_its_room_and_is_empty_again(wanted, random):
    one = node()
    for number, each in enumerate(wanted):
        if not one.lacks(each):
            one.take(number, each)
            assert not one.facts.total.lacks(one.used)
        if one.taken and random.random() < 0.3:
            one.release(random.choice(list(one.taken)))
    for key in list(one.taken):
        one.release(key)
    assert one.used == Room()


@pytest.mark.parametrize("spread", [False, True])
def test_many_machines_are_placed_as_if_each_were_chosen_alone(spread):
    def nodes():
        image = frozenset({"image"})
        made = [node(f"n{n}", memory=4 + n % 3, parts=image if n % 2 else ()) for n in range(7)]
        made[5].silent = made[6].draining = True
        return made

    small = demand(parts=(base("image"),))
    large = Demand(Room(memory=3 * GIB))
    wanted = [
        Wanted(Instance(f"m{number}", 1), large if number % 9 == 4 else small, spread)
        for number in range(18)
    ]
    alone = nodes()
    expected = []
    for instance, each, _ in wanted:
        chosen = choose_node(alone, each, spread=spread)
        chosen.take(instance, each)
        expected.append(chosen.facts.name)
    together = nodes()
    assert [each.facts.name for each in take_room(together, wanted)] == expected
    assert [each.used for each in together] == [each.used for each in alone]
    with pytest.raises(FleetFullError):
        take_room(together, [Wanted(Instance(f"x{n}", 1), small, spread) for n in range(30)])
    assert [each.used for each in together] == [each.used for each in alone], "all or none"
