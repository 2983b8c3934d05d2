"""The devices that kju adds: screen, input, network, sound, serial port, disks. I/O-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....errors import UsageError
from ....store.image import Image, Kind
from ...base import Appended
from .board import DriveAttachment, attach
from .user_options import (
    GENERATION_ID,
    KEYBOARD,
    NETWORK,
    SERIAL,
    TABLET,
    VIDEO,
    X86,
    Items,
    LaunchFacts,
    UserOptions,
    decode_json,
    fields,
    parse,
    quote,
)

#: Architectures whose firmware draws on virtio-gpu; that of others draws on a VGA.
_DRAW_ON_VIRTIO = ("aarch64", "arm", "riscv64", "riscv32", "loongarch64", "s390x")
#: The beginnings of the names of boards with a generation id.
_ACPI_BOARDS = ("pc-i440fx-", "pc-q35-")
_WHY_TABLET = "no tablet was given; with one the guest's pointer follows the viewer's"
_WHY_USB_KEYBOARD = "no keyboard was given; firmware reads a USB one"
_WHY_VIRTIO_KEYBOARD = "no keyboard was given; systems with virtio drivers take keys faster here"


def video(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a video device."""
    if given.has("vga") or given.device(VIDEO):
        return []
    board = facts.board
    if board.has_screen:
        return ["no video device was added: the board has a screen of its own"]
    if given.has("nodefaults"):
        return ["no video device: the user's -nodefaults asks for none"]
    driver = ""
    if board.has_pci:
        kinds = ["VGA", "virtio-gpu-pci"]
        if facts.architecture in _DRAW_ON_VIRTIO:
            kinds.reverse()
        driver = next((kind for kind in kinds if board.offers(kind)), "")
    elif board.has_virtio_mmio:
        # A microvm has no screen on purpose: it is for guests that need none.
        driver = "" if facts.architecture in X86 else "virtio-gpu-device"
    elif "ISA" in board.buses and facts.architecture in X86:
        driver = "isa-vga"
    if not driver or not board.offers(driver):
        return [f"no video device: {board.title} has no bus for one"]
    why = "no video device was given; every guest can draw on this one"
    return [Appended(("-device", f"{driver},id=kju-video"), why)]


def inputs(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a tablet, and keyboards if the board has none.

    Of two keyboards QEMU sends keys to the virtio one once the guest has started it, and to the USB
    one before. Firmware reads USB keyboards, and systems take keys faster from virtio ones.
    """
    board = facts.board
    tablet = not given.device(TABLET) and given.field(("usbdevice",), "type") != "tablet"
    keyboard = not board.has_keyboard and not given.device(KEYBOARD)
    devices: list[tuple[str, str]] = []
    own_usb = board.has_pci and board.offers("qemu-xhci")
    if own_usb or board.usb_ports:
        bus = ",bus=kju-usb.0" if own_usb else ""
        if keyboard and board.offers("usb-kbd"):
            devices.append((f"usb-kbd,id=kju-usb-keyboard{bus}", _WHY_USB_KEYBOARD))
        if tablet and board.offers("usb-tablet"):
            devices.append((f"usb-tablet,id=kju-tablet{bus}", _WHY_TABLET))
        if not own_usb:
            del devices[board.usb_ports :]
        elif devices:
            devices.insert(0, ("qemu-xhci,id=kju-usb", "the bus of kju's USB devices"))
    elif board.has_virtio_mmio and tablet and board.offers("virtio-tablet-device"):
        devices.append(("virtio-tablet-device,id=kju-tablet", _WHY_TABLET))
    bus = "pci" if board.has_pci else "device" if board.has_virtio_mmio else ""
    if keyboard and bus and board.offers(f"virtio-keyboard-{bus}"):
        devices.append((f"virtio-keyboard-{bus},id=kju-keyboard", _WHY_VIRTIO_KEYBOARD))
    if tablet and not any("kju-tablet" in device for device, _ in devices):
        return [f"no tablet: {board.title} has no bus for one", *_appended(devices)]
    return _appended(devices)


def _appended(devices: Sequence[tuple[str, str]]) -> Items:
    return [Appended(("-device", device), why) for device, why in devices]


def network(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a network card with a user network."""
    if given.has("nic", "net", "netdev") or given.device(NETWORK):
        return []
    if given.has("nodefaults"):
        return ["no network: the user's -nodefaults asks for none"]
    if not facts.board.has_pci or not facts.board.offers("virtio-net-pci"):
        return [f"no network: {facts.board.title} has no PCI bus for kju's; try: -nic user"]
    device = "virtio-net-pci,id=kju-nic,netdev=kju-net,romfile="
    why = "no network was given; this one connects to the outside and listens on nothing"
    return [Appended(("-netdev", "user,id=kju-net", "-device", device), why)]


def generation_id(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the device that tells a guest that it is a copy: it reseeds its random numbers.

    Source:
        docs/specs/vmgenid.rst of QEMU. It needs ACPI, which these boards have.
    """
    on_pc = facts.board.name.startswith(_ACPI_BOARDS) and facts.architecture in X86
    if not on_pc or not facts.board.offers("vmgenid") or given.device(GENERATION_ID):
        return []
    if given.has("nodefaults"):
        return ["no generation id: the user's -nodefaults asks for none"]
    why = "tells the guest when it is a fork, so that each fork has random numbers of its own"
    return [Appended(("-device", "vmgenid,guid=auto,id=kju-generation"), why)]


def sound(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a sound driver that plays nothing."""
    if not facts.no_sound or given.has("audio", "audiodev"):
        return []
    why = "with -nodefaults sound devices have no driver; this one plays nothing"
    return [Appended(facts.no_sound, why)]


def serial(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append a serial port that the host reads."""
    if given.has("serial") or given.device(SERIAL):
        return ["the serial port is the user's own: kju serial does not show it"]
    if given.has("nodefaults"):
        return ["no serial port: the user's -nodefaults asks for none"]
    if facts.serial < 0:
        return []
    chardev = f"socket,id=kju-serial,fd={facts.serial}"
    why = "no serial port was given; its output is kept for: kju serial"
    return [Appended(("-chardev", chardev, "-serial", "chardev:kju-serial"), why)]


#: Options whose value is a path of a disk.
_DISK_OPTIONS = frozenset(
    "hda hdb hdc hdd cdrom fda fdb sd mtdblock pflash".split()  # noqa: SIM905  as in QEMU's help
)
#: Levels of objects and lists in a tree of block nodes.
_MAX_NESTING = 100


def drives(given: UserOptions, facts: LaunchFacts) -> list[tuple[Appended, str, DriveAttachment]]:
    """Return the image, if it is a disk or a CD, then the further disks and CDs.

    Each has the arguments to append, its path, and its bus.
    """
    images = [("", image) for image in (facts.image,) if image and image.kind is not Kind.KERNEL]
    images += [(f"-{index}", disk) for index, disk in enumerate(facts.disks, 1)]
    ide_used = given.ide_used(facts.board)
    found = []
    for suffix, image in images:
        cd = image.kind is Kind.CDROM
        name = f"kju-cd{suffix}" if cd else f"kju-disk{suffix}"
        attached = attach(facts.board, name, suffix, cd=cd, wish=facts.disk_bus, ide_used=ide_used)
        ide_used += attached.bus == "ide"
        found.append((_drive(image, name, suffix, attached), image.path, attached))
    return found


def _drive(image: Image, name: str, suffix: str, attached: DriveAttachment) -> Appended:
    """Return the arguments of a disk or a CD whose ids end in *suffix*."""
    # The file name is a field of its own: so "nbd:..." is a file name, not a protocol.
    drive = f"if={attached.interface}"
    if image.path:  # a fork's CD drive may be empty
        drive += f",file.driver=file,file.filename={quote(image.path)}"
    if image.disk_format:
        drive += f",format={image.disk_format}"
    for depth, backing_format in image.backing_formats:
        drive += f",{'backing.' * depth}driver={backing_format}"
    if image.read_only:
        drive += ",readonly=on"
    drive += f",media=cdrom,id={name}" if image.kind is Kind.CDROM else f",id={name}"
    words = [word for device in attached.devices for word in ("-device", device)]
    what = "a further disk" if suffix else "the image"
    return Appended(("-drive", drive, *words), f"{what}: {image.reason}; on {attached.reason}")


def disks(given: UserOptions, facts: LaunchFacts) -> Items:
    """Append the disks and CDs."""
    return [appended for appended, _, _ in drives(given, facts)]


def own_disks(user: Sequence[str]) -> list[tuple[str, str]]:
    """Return the paths of disks among the user's own arguments, with the formats given for them.

    Network addresses are left out: they are the user's own choice. Disks in a file of
    ``-readconfig`` are unknown.

    Raises:
        UsageError: A tree of block nodes is nested too deeply to be followed.
    """
    found = []
    for option in parse(user):
        value = option.value
        if not value:
            continue
        if option.name in _DISK_OPTIONS:
            found += _files({"file": value})
        elif option.name == "drive":
            found += _files(fields(value, "file"))
        elif option.name == "blockdev":
            found += _files(
                f"json:{value}" if value.lstrip().startswith("{") else fields(value, "driver")
            )
    return [(path.removeprefix("file:"), kind) for path, kind in found if path]


def _files(nodes: object) -> list[tuple[str, str]]:
    """Return the files that a tree of block nodes names, each with its format."""
    tree = dict(_flat(nodes))
    found = []
    for key, value in tree.items():
        *node, last = key.split(".")
        if last in ("file", "filename"):
            found.append((value, _format(tree, node)))
    return found


def _flat(value: object, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield a tree's texts with dots in their keys, as QEMU makes it from JSON and from ``json:``.

    The items of a list have numbers as keys, such as ``children.0`` of a quorum.
    """
    try:
        if isinstance(value, str) and value.startswith("json:"):
            value = decode_json(value.removeprefix("json:"))
    except RecursionError:
        depth = _MAX_NESTING + 1
    # QEMU follows 1,024 levels and a graph of nodes in use has about ten. A deeper one is refused:
    # QEMU would open disks in it that were not checked here.
    if depth > _MAX_NESTING:
        raise UsageError(
            f"a disk among the QEMU arguments is nested deeper than {_MAX_NESTING} levels, so its"
            " files cannot be checked; describe it with several -blockdev options, by node-name"
        )
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, (dict, list)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for name, below in parts:
            yield from _flat(below, f"{key}.{name}" if key else str(name), depth + 1)


def _format(tree: dict[str, str], node: list[str]) -> str:
    """Return the format that QEMU reads a node's file as: the innermost that is not raw."""
    drivers = []
    while True:
        names = [".".join([*node, name]) for name in ("format", "driver")]
        drivers += [tree[name] for name in names if tree.get(name)]
        if not node or node[-1] != "file":
            break
        node = node[:-1]
    formats = [driver for driver in drivers if driver != "file"]
    return next((name for name in formats if name != "raw"), "raw" if formats else "")
