"""The devices: screen, keyboard and tablet, network, sound, serial port. I/O-free."""

from __future__ import annotations

from collections.abc import Sequence

from ...base import Appended
from .facts import Facts, Items, board_title
from .given import KEYBOARD, NETWORK, SERIAL, TABLET, VIDEO, X86, Given

#: Architectures whose firmware draws on virtio-gpu; that of others draws on a VGA.
_DRAW_ON_VIRTIO = ("aarch64", "arm", "riscv64", "riscv32", "loongarch64", "s390x")
_WHY_TABLET = "no tablet was given; with one the guest's pointer follows the viewer's"
_WHY_USB_KEYBOARD = "no keyboard was given; firmware reads a USB one"
_WHY_VIRTIO_KEYBOARD = "no keyboard was given; systems with virtio drivers take keys faster here"


def video(given: Given, facts: Facts) -> Items:
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
        return [f"no video device: {board_title(board)} has no bus for one"]
    why = "no video device was given; every guest can draw on this one"
    return [Appended(("-device", f"{driver},id=kju-video"), why)]


def inputs(given: Given, facts: Facts) -> Items:
    """Append a tablet, and keyboards where the board has none.

    Of two keyboards QEMU sends keys to the virtio one from when the guest has started it, and to
    the USB one before: firmware knows USB, and systems type faster on virtio.
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
        return [f"no tablet: {board_title(board)} has no bus for one", *_appended(devices)]
    return _appended(devices)


def _appended(devices: Sequence[tuple[str, str]]) -> Items:
    return [Appended(("-device", device), why) for device, why in devices]


def network(given: Given, facts: Facts) -> Items:
    """Append a network card with a user network."""
    if given.has("nic", "net", "netdev") or given.device(NETWORK):
        return []
    if given.has("nodefaults"):
        return ["no network: the user's -nodefaults asks for none"]
    if not facts.board.has_pci or not facts.board.offers("virtio-net-pci"):
        return [f"no network: {board_title(facts.board)} has no PCI bus for kju's; try: -nic user"]
    device = "virtio-net-pci,id=kju-nic,netdev=kju-net,romfile="
    why = "no network was given; this one connects to the outside and listens on nothing"
    return [Appended(("-netdev", "user,id=kju-net", "-device", device), why)]


def sound(given: Given, facts: Facts) -> Items:
    """Append a sound driver that plays nothing."""
    if not facts.no_sound or given.has("audio", "audiodev"):
        return []
    why = "with -nodefaults sound devices have no driver; this one plays nothing"
    return [Appended(facts.no_sound, why)]


def serial(given: Given, facts: Facts) -> Items:
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
