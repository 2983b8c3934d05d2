"""What kju adds to a user's QEMU arguments, and why. I/O-free.

The user's arguments are passed on as they are, first and whole. kju appends; each thing
it appends carries its reason; where the two would contradict each other nothing starts.
A category (video, tablet, network, memory, ...) gets a device only if the user named
none. Everything kju adds has an id that begins with ``kju-``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ...errors import ConflictError
from ...store.image import Image, Kind
from .board.board import PC, Board
from .board.disk_bus import Attachment, attach
from .options import Option, fields, parse, quote

PREFIX = "kju-"

#: An option, and why it cannot be combined with kju.
CONFLICTS = {
    "daemonize": "QEMU would leave the process that owns it, and nothing would end it or"
    " clean up after it; to have a machine outlive the terminal, use: kju run --detach",
    "display": "kju reads the screen through -display dbus, and QEMU has one display at a time;"
    " leave it out and look with: kju watch NAME",
    "nographic": "it turns the screen off; leave it out: kju opens no window, and the serial port"
    " is at: kju serial NAME",
    "curses": "kju reads the screen itself; look with: kju watch NAME",
    "sdl": "kju reads the screen itself; look with: kju watch NAME",
    "full-screen": "no window of QEMU's own is opened",
    "preconfig": "QEMU would wait for commands before there is a machine",
    "h": "QEMU would print its help and end; run QEMU itself for that",
    "help": "QEMU would print its help and end; run QEMU itself for that",
    "audio-help": "QEMU would print its help and end; run QEMU itself for that",
    "version": "QEMU would print its version and end; see: kju doctor",
}

_VIDEO = re.compile(
    r"VGA|(?:.*-)?vga(?:-gl|-rutabaga)?|cirrus-vga|bochs-display|qxl|ramfb|vmware-svga|sm501"
    r"|virtio-gpu.*|vhost-user-gpu.*|cg3|tcx|ati-vga"
)
_TABLET = re.compile(r"usb-tablet|usb-wacom-tablet|virtio-tablet.*")
_KEYBOARD = re.compile(r"usb-kbd|virtio-keyboard.*|usb-ccid-kbd")
_NETWORK = re.compile(
    r"e1000.*|rtl8139|ne2k_.*|pcnet|vmxnet3|i8255.*|tulip|usb-net|igb|virtio-net.*|sungem|lan9118"
)
_SERIAL = re.compile(r"isa-serial|pci-serial.*|usb-serial|virtserialport|virtconsole|spapr-vty")
#: Of these the default processor is too old, and the firmware draws on a VGA.
_X86 = ("x86_64", "i386")
#: Of these the firmware draws on virtio-gpu; of others on a VGA.
_DRAW_ON_VIRTIO = ("aarch64", "arm", "riscv64", "riscv32", "loongarch64", "s390x")
#: These architectures have no default machine, or one that starts no system from a disk.
_VIRT = ("aarch64", "arm", "riscv64", "riscv32")
#: Of ``virt`` on these QEMU has no firmware of its own.
_NEED_FIRMWARE = ("aarch64", "arm")
#: Values of ``-machine`` that name other objects, or say nothing about the board.
_NOT_THE_BOARD = re.compile(
    r"accel|memory-.*|kernel-irqchip|confidential-.*|sgx-.*|hmat|dump-.*|(?:pcspk-)?audiodev"
    r"|pflash[01]"
)
#: Properties of ``-machine`` that name the firmware.
_FIRMWARE = ("firmware", "pflash0", "pflash1")
#: What QEMU takes for "on"; a key without a value is on as well (`fields`).
_ON = frozenset({"on", "yes", "true", "y"})
#: Options whose value is a disk's path.
_DISK_OPTIONS = frozenset(
    "hda hdb hdc hdd cdrom fda fdb sd mtdblock pflash".split()  # noqa: SIM905  as in QEMU's help
)
_IDE = re.compile(r"ide-(?:hd|cd|drive|cf)")


class Firmware(NamedTuple):
    """What QEMU is to start with.

    Attributes:
        code: A file.
        code_format: Its format; empty for one that is given as ``-bios``.
        variables: The machine's own, qcow2; empty where there are none.
        reason: Why this one.
    """

    code: str
    code_format: str
    variables: str
    reason: str


class Facts(NamedTuple):
    """What the shell found out before the arguments are made.

    Attributes:
        name: The machine's name.
        architecture: Of the guest, as in ``qemu-system-ARCHITECTURE``.
        qmp: The number of the descriptor that QEMU inherits for QMP.
        accelerator: ``kvm`` or ``tcg``.
        accelerator_reason: Why that one.
        image: What to boot from, if anything.
        memory: As the caller wants it, for ``-m``; empty for no wish.
        cpus: As the caller wants it, for ``-smp``; 0 for no wish.
        board: The machine type's buses and devices.
        disk_bus: The bus of the disks, one of `DISK_BUSES`; empty for no wish.
        no_sound: QEMU's arguments for sound that is not played.
        shares_video_memory: Whether this QEMU knows ``aux-ram-share``.
        disks: Further disks and CDs.
        firmware: What to start with, if not QEMU's own.
        serial: The number of the descriptor that QEMU inherits for a serial port.
    """

    name: str
    architecture: str
    qmp: int
    accelerator: str
    accelerator_reason: str
    image: Image | None = None
    memory: str = ""
    cpus: int = 0
    board: Board = PC
    disk_bus: str = ""
    no_sound: tuple[str, ...] = ()
    shares_video_memory: bool = False
    disks: tuple[Image, ...] = ()
    firmware: Firmware | None = None
    serial: int = -1


class Appended(NamedTuple):
    """Arguments that kju adds, and why."""

    arguments: tuple[str, ...]
    reason: str


class Plan(NamedTuple):
    """A whole command line.

    Attributes:
        user: The user's arguments, untouched.
        appended: What follows them.
        notes: What else a reader of ``kju info`` should know.
        changes_user: Whether QEMU becomes another user's process.
        buses: The bus of each disk and CD by its path, and why.
        temporary: A warning that changes of the disks are lost; empty if they are kept.
    """

    user: tuple[str, ...]
    appended: tuple[Appended, ...]
    notes: tuple[str, ...]
    changes_user: bool = False
    buses: tuple[tuple[str, Attachment], ...] = ()
    temporary: str = ""

    @property
    def has_serial(self) -> bool:
        """Whether there is a serial port that kju has added."""
        return any(f"chardev:{PREFIX}serial" in part.arguments for part in self.appended)

    @property
    def arguments(self) -> list[str]:
        """Everything, in the order in which QEMU gets it."""
        return [*self.user, *(a for part in self.appended for a in part.arguments)]


class _Given:
    """Questions about the user's own options."""

    def __init__(self, options: Sequence[Option]) -> None:
        self._options = options
        self.drivers = [
            fields(o.value, "driver").get("driver", "") for o in options if o.name == "device"
        ]

    def has(self, *names: str) -> bool:
        return any(o.name in names for o in self._options)

    def device(self, pattern: re.Pattern[str]) -> bool:
        return any(pattern.fullmatch(driver) for driver in self.drivers)

    def field(self, names: tuple[str, ...], key: str, first: str = "type") -> str:
        """The last value given for a key of any of these options."""
        found = [fields(o.value, first).get(key, "") for o in self._options if o.name in names]
        return next((value for value in reversed(found) if value), "")

    @property
    def machine(self) -> str:
        return self.field(("machine", "M"), "type")

    def is_virt(self, architecture: str) -> bool:
        """Whether the machine is a ``virt``, of any version."""
        machine = self.machine or ("virt" if architecture in _VIRT else "")
        return machine == "virt" or machine.startswith("virt-")

    def ide_used(self, board: Board) -> int:
        """How many of the user's own disks and CDs are on the board's IDE buses."""
        used = sum(bool(_IDE.fullmatch(driver)) for driver in self.drivers)
        used += sum(o.name in ("hda", "hdb", "hdc", "hdd", "cdrom") for o in self._options)
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        return used + sum(drive.get("if", board.disk) == "ide" for drive in drives)

    @property
    def is_temporary(self) -> bool:
        """Whether changes of a disk are lost when the machine ends."""
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        return self.has("snapshot") or any(d.get("snapshot") in _ON for d in drives)

    @property
    def firmware(self) -> bool:
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        if self.has("bios", "pflash") or any(d.get("if") == "pflash" for d in drives):
            return True
        return any(self.field(("machine", "M"), key) for key in _FIRMWARE)

    @property
    def changes_user(self) -> bool:
        return self.has("runas") or bool(self.field(("run-with",), "user"))


def plan(user: Sequence[str], facts: Facts) -> Plan:
    """Decide what to append.

    Raises:
        ConflictError: The user's arguments contradict what kju needs, or what the caller
            asked for beside them.
    """
    options = parse(user)
    given = _Given(options)
    _refuse(options, given, facts)
    appended: list[Appended] = []
    notes: list[str] = []
    for part in _PARTS:
        for item in part(given, facts):
            if isinstance(item, Appended):
                appended.append(item)
            else:
                notes.append(item)
    buses = tuple((path, attached) for _, path, attached in _drives(given, facts))
    temporary = _TEMPORARY if given.is_temporary else ""
    notes += [temporary] if temporary else []
    return Plan(tuple(user), tuple(appended), tuple(notes), given.changes_user, buses, temporary)


def board_arguments(user: Sequence[str], architecture: str, kernel: str = "") -> list[str]:
    """The arguments that choose the board, for `board_probe`: the machine and its firmware.

    What refers to other arguments (an audio device, a node of ``-blockdev``) is left out.

    Args:
        user: The user's arguments.
        architecture: The guest's.
        kernel: The image, if it is a kernel: some boards do not start without.
    """
    options = parse(user)
    words = []
    for option in options:
        if option.name in ("machine", "M"):
            found = fields(option.value, "type")
            kind = found.pop("type", "")
            kept = [quote(kind)] if kind else []
            kept += [f"{k}={quote(v)}" for k, v in found.items() if not _NOT_THE_BOARD.fullmatch(k)]
            words += ["-machine", ",".join(kept)] if kept else []
        elif option.name == "drive" and fields(option.value, "file").get("if") == "pflash":
            # The board runs for a moment: what it writes is not kept.
            words += ["-drive", f"{option.value},snapshot=on"]
        elif option.name in ("kernel", "bios", "pflash", "m", "cpu", "smp") and option.value:
            words += [f"-{option.name}", option.value]
    if architecture in _VIRT and not _Given(options).machine:
        words += ["-machine", "virt"]
    return words + (["-kernel", kernel] if kernel else [])


def own_disks(user: Sequence[str]) -> list[tuple[str, str]]:
    """The paths of disks among the user's own arguments, and the formats given for them.

    An address that the user has written there is the user's own choice, and is left out. What a
    file of ``-readconfig`` names is not known.
    """
    found = []
    for option in parse(user):
        if option.name in _DISK_OPTIONS and option.value:
            found += _files({"file": option.value})
        elif option.name in ("drive", "blockdev"):
            found += _files(fields(option.value, "file" if option.name == "drive" else "driver"))
    return [(path.removeprefix("file:"), kind) for path, kind in found if path]


def _files(given: dict[str, str]) -> list[tuple[str, str]]:
    """The files that a tree of block nodes names, and the format in each."""
    tree = dict(_flat(given))
    found = []
    for key, value in tree.items():
        *node, last = key.split(".")
        if last in ("file", "filename"):
            found.append((value, _format(tree, node)))
    return found


def _flat(given: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A tree with dots in its keys, as QEMU makes it of JSON and of ``json:``."""
    for key, value in given.items():
        text = value.removeprefix("json:").lstrip()
        if not text.startswith("{"):
            yield key, value
            continue
        for inner, below in _flat(fields(text, "driver")):
            yield f"{key}.{inner}", below


def _format(tree: dict[str, str], node: list[str]) -> str:
    """The format that is read out of a node's file: the innermost one that is not raw."""
    drivers = []
    while True:
        names = [".".join([*node, name]) for name in ("format", "driver")]
        drivers += [tree[name] for name in names if tree.get(name)]
        if not node or node[-1] != "file":
            break
        node = node[:-1]
    formats = [driver for driver in drivers if driver != "file"]
    return next((name for name in formats if name != "raw"), "raw" if formats else "")


def needs_firmware(user: Sequence[str], architecture: str, image: Image | None) -> bool:
    """Whether an image needs firmware that QEMU does not have for this board."""
    given = _Given(parse(user))
    if image is None or image.kind is Kind.KERNEL or architecture not in _NEED_FIRMWARE:
        return False
    if given.firmware or given.has("kernel"):
        return False
    return given.is_virt(architecture)


def _refuse(options: Sequence[Option], given: _Given, facts: Facts) -> None:
    for option in options:
        if option.name == "display" and option.value == "none":
            continue  # no window; kju's own display comes later and counts
        if why := CONFLICTS.get(option.name):
            raise ConflictError(f"{option.written} cannot be used with kju: {why}")
        if option.value in ("help", "?") and option.name not in ("name", "append"):
            raise ConflictError(f"{option.written} ends QEMU at once; run QEMU itself for that")
        if fields(option.value, "").get("id", "").startswith(PREFIX):
            raise ConflictError(f"{option.written}: ids that begin with {PREFIX!r} are kju's own")
    if facts.memory and given.has("m"):
        raise ConflictError(f"memory={facts.memory} and the QEMU argument -m: give one of them")
    if facts.cpus and given.has("smp"):
        raise ConflictError(f"cpus={facts.cpus} and the QEMU argument -smp: give one of them")
    if facts.firmware and given.firmware:
        raise ConflictError("firmware, and a QEMU argument that names another: give one of them")
    if facts.image and facts.image.kind is Kind.KERNEL and given.has("kernel"):
        raise ConflictError(f"{facts.image.path} is a kernel, and -kernel names another: give one")


_Items = list[Appended | str]
_READCONFIG = (
    "-readconfig: kju does not see the devices it names and may add to them, and does not check"
    " the disks it names"
)
_TEMPORARY = (
    "the disks are temporary (-snapshot or snapshot=on): the guest's changes, and every snapshot,"
    " are lost when the machine ends"
)


def _machine(given: _Given, facts: Facts) -> _Items:
    items: _Items = [Appended(("-nodefaults",), "QEMU adds no device that nobody asked for")]
    if given.has("nodefaults"):
        items = []
    if facts.architecture in _VIRT and not given.machine:
        items.append(Appended(("-machine", "virt"), "this architecture has no default machine"))
    if not given.has("name"):
        items.append(Appended(("-name", f"guest={quote(facts.name)}"), "the machine's name"))
    if facts.shares_video_memory and not given.field(("machine", "M"), "aux-ram-share"):
        items.append(
            Appended(
                ("-machine", "aux-ram-share=on"),
                "the video memory is shared with the host, so that QEMU need not draw",
            )
        )
    if given.has("readconfig"):
        items.append(_READCONFIG)
    return items


def _accelerator(given: _Given, facts: Facts) -> _Items:
    if given.has("accel", "enable-kvm") or given.field(("machine", "M"), "accel"):
        return ["the accelerator is the user's own choice"]
    return [Appended(("-accel", facts.accelerator), facts.accelerator_reason)]


def _cpu(given: _Given, facts: Facts) -> _Items:
    """A processor for current systems: QEMU's default is the same with every accelerator."""
    if given.has("cpu"):
        return []
    if facts.accelerator == "kvm":
        return [Appended(("-cpu", "host"), "the guest gets what this processor can do")]
    if not facts.board.accepts_cpu_max:
        return []
    if facts.architecture in _X86:
        why = "QEMU's default processor is too old for current systems (x86-64-v2 and later)"
        return [Appended(("-cpu", "max"), why)]
    if facts.architecture == "aarch64" and given.is_virt(facts.architecture):
        return [Appended(("-cpu", "max"), "QEMU's default processor of virt has 32 bits")]
    return []


def _memory(given: _Given, facts: Facts) -> _Items:
    items: _Items = []
    if facts.memory:
        items.append(Appended(("-m", facts.memory), "asked for (memory)"))
    elif not given.has("m"):
        if facts.board.memory:
            items.append(f"memory: the board's own {facts.board.memory} MiB; it refuses 1G")
        else:
            items.append(Appended(("-m", "1G"), "QEMU's default of 128 MiB starts few systems"))
    if facts.cpus:
        items.append(Appended(("-smp", str(facts.cpus)), "asked for (cpus)"))
    return items


def _video(given: _Given, facts: Facts) -> _Items:
    if given.has("vga") or given.device(_VIDEO):
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
        driver = "" if facts.architecture in _X86 else "virtio-gpu-device"
    elif "ISA" in board.buses and facts.architecture in _X86:
        driver = "isa-vga"
    if not driver or not board.offers(driver):
        return [f"no video device: {_named(board)} has no bus for one"]
    why = "no video device was given; this one is drawn on by every guest"
    return [Appended(("-device", f"{driver},id=kju-video"), why)]


def _named(board: Board) -> str:
    return f"machine type {board.name}" if board.name else "this machine type"


def _input(given: _Given, facts: Facts) -> _Items:
    """A tablet, and keyboards where the board has none.

    Of two keyboards QEMU gives keys to the virtio one as soon as the guest has started it, and to
    the USB one until then: firmware knows USB, and systems type faster on virtio.
    """
    board = facts.board
    tablet = not given.device(_TABLET) and given.field(("usbdevice",), "type") != "tablet"
    keyboard = not board.has_keyboard and not given.device(_KEYBOARD)
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
        return [f"no tablet: {_named(board)} has no bus for one", *_appended(devices)]
    return _appended(devices)


_WHY_TABLET = "no tablet was given; with one the pointer is where the viewer says it is"
_WHY_USB_KEYBOARD = "no keyboard was given; firmware reads a USB one"
_WHY_VIRTIO_KEYBOARD = "no keyboard was given; systems with virtio drivers take keys faster here"


def _appended(devices: Sequence[tuple[str, str]]) -> _Items:
    return [Appended(("-device", device), why) for device, why in devices]


def _network(given: _Given, facts: Facts) -> _Items:
    if given.has("nic", "net", "netdev") or given.device(_NETWORK):
        return []
    if given.has("nodefaults"):
        return ["no network: the user's -nodefaults asks for none"]
    if not facts.board.has_pci or not facts.board.offers("virtio-net-pci"):
        return [f"no network: {_named(facts.board)} has no PCI bus for kju's; try: -nic user"]
    device = "virtio-net-pci,id=kju-nic,netdev=kju-net,romfile="
    why = "no network was given; this one reaches out and listens on nothing"
    return [Appended(("-netdev", "user,id=kju-net", "-device", device), why)]


def _sound(given: _Given, facts: Facts) -> _Items:
    if not facts.no_sound or given.has("audio", "audiodev"):
        return []
    why = "-nodefaults leaves devices with sound without a driver; this one plays nothing"
    return [Appended(facts.no_sound, why)]


def _boot(given: _Given, facts: Facts) -> _Items:
    image = facts.image
    if image is None or image.kind is not Kind.KERNEL:
        return []
    return [Appended(("-kernel", image.path), f"the image: {image.reason}")]


def _drives(given: _Given, facts: Facts) -> list[tuple[Appended, str, Attachment]]:
    """The image, if it is a disk or a CD, and the further ones, in this order."""
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


def _drive(image: Image, name: str, suffix: str, attached: Attachment) -> Appended:
    """A disk or a CD, whose ids end in *suffix*."""
    # The filename is a field of its own, so that "nbd:..." is a name and not a protocol.
    drive = f"if={attached.interface},file.driver=file,file.filename={quote(image.path)}"
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


def _disks(given: _Given, facts: Facts) -> _Items:
    return [appended for appended, _, _ in _drives(given, facts)]


def _firmware(given: _Given, facts: Facts) -> _Items:
    found = facts.firmware
    if found is None:
        return []
    if not found.code_format:
        return [Appended(("-bios", found.code), found.reason)]
    flash = "if=pflash,unit={},format={},file.driver=file,file.filename={}"
    code = flash.format(0, found.code_format, quote(found.code)) + ",readonly=on"
    variables = flash.format(1, "qcow2", quote(found.variables))
    return [Appended(("-drive", code, "-drive", variables), found.reason)]


def _serial(given: _Given, facts: Facts) -> _Items:
    if given.has("serial") or given.device(_SERIAL):
        return ["kju serial has no part in the serial port: it is the user's own"]
    if given.has("nodefaults"):
        return ["no serial port: the user's -nodefaults asks for none"]
    if facts.serial < 0:
        return []
    chardev = f"socket,id=kju-serial,fd={facts.serial}"
    why = "no serial port was given; what the guest says there is kept for: kju serial"
    return [Appended(("-chardev", chardev, "-serial", "chardev:kju-serial"), why)]


def _sandbox(given: _Given, facts: Facts) -> _Items:
    if given.has("sandbox"):
        return ["the sandbox is the user's own choice"]
    netdev = given.field(("netdev", "nic", "net"), "type")
    spawn, elevate = "deny", "deny"
    items: _Items = []
    if netdev in ("tap", "bridge", "passt") or given.has("incoming"):
        spawn, elevate = "allow", "allow"
        items.append("the sandbox lets QEMU start programs: the user's network or -incoming may")
    resources = "allow" if given.field(("object",), "qom-type") == "thread-context" else "deny"
    if given.changes_user:
        # Else the kernel kills QEMU at the change (SIGSYS); afterwards there is no way back.
        elevate = "allow"
        items.append("the sandbox lets QEMU change its user, as the user's arguments want")
    value = f"on,obsolete=deny,elevateprivileges={elevate},spawn={spawn}"
    value += f",resourcecontrol={resources}"
    return [Appended(("-sandbox", value), "a guest that breaks out finds little to use"), *items]


def _user(given: _Given, facts: Facts) -> _Items:
    if not given.changes_user:
        return []
    return [
        "QEMU changes its user, and the kernel's signal that ends it with its host is lost with"
        " that: a second process of the host waits to do so"
    ]


def _channels(given: _Given, facts: Facts) -> _Items:
    return [
        Appended(
            ("-display", "dbus,p2p=yes"),
            "the screen, keys and pointer, between QEMU and its host alone",
        ),
        Appended(
            (
                "-chardev",
                f"socket,id=kju-qmp,fd={facts.qmp}",
                "-mon",
                "chardev=kju-qmp,mode=control",
            ),
            "QMP over an inherited descriptor: no path, no listener",
        ),
    ]


_PARTS: tuple[Callable[[_Given, Facts], _Items], ...] = (
    _machine,
    _accelerator,
    _cpu,
    _memory,
    _firmware,
    _boot,
    _disks,
    _video,
    _input,
    _network,
    _sound,
    _serial,
    _sandbox,
    _user,
    _channels,
)
