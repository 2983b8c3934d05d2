"""The form that makes or edits a machine: its fields, their errors, the definition. No toolkit.

- Each field is checked at each change by the definitions' own decoder, without any I/O. What needs
  files or QEMU is found by a dry run, which a thread asks for (`kju.desktop.pages.create_worker`).
- Each change has a number, the *revision*. Only the answer to the newest dry run counts.
- The definition of an existing machine is edited as text: its comments and every key that this form
  does not have, or kju does not know, are kept byte for byte.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from ...client.requests import LaunchPlan
from ...errors import DefinitionError, KjuError, UsageError
from ...escaping import one_line
from ...protocol.dry_run import DryRun
from ...protocol.values import DISK_BUSES, size_fault
from ...store.machine_toml import MAX_DOTS, Definition, decode, first_dotted_line
from ...store.paths import check_name, name_for
from ...store.toml_edit import changed, known_part, unknown_keys
from .create_faults import field_of

#: The size of the disk that is proposed for an installation from a CD.
PROPOSED_DISK = "20G"
#: The file's name in the decoder's messages, which are shown without it.
_FILE = "machine.toml"
_PLACE = re.compile(r"^.*?machine\.toml:\d+: ")
_ITEM = re.compile(r"^(\w+)(?:\[(\d+)\])?: ")


class FieldKind(Enum):
    """The widget that a field needs."""

    LINE = "line"
    FILE = "file"
    CHOICE = "choice"
    LINES = "lines"
    SWITCH = "switch"


class FormField(NamedTuple):
    """One field.

    Attributes:
        key: The definition's key; or ``name`` or ``disk``.
        label: Its label.
        kind: Its widget.
        hint: Shown while it is empty.
        tip: A sentence on its meaning.
        choices: Its possible values and the words for them; a `FieldKind.FILE` takes other texts
            too.
        advanced: Whether it is folded away at first.
        only_new: Whether an existing machine does not have it.
    """

    key: str
    label: str
    kind: FieldKind = FieldKind.LINE
    hint: str = ""
    tip: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    advanced: bool = False
    only_new: bool = False


FIELDS = (
    FormField("image", "Image", FieldKind.FILE, "no image",
              "A disk, a CD (ISO) or a kernel to boot."),
    FormField("name", "Name", tip="The machine's name."),
    FormField("disk", "New disk", hint="none, or a size such as 20G",
              tip="Make an empty disk of this size, to install on.", only_new=True),
    FormField("memory", "Memory", hint="1024 MiB", tip="Such as 2G; MiB without a unit."),
    FormField("cpus", "Processors", hint="QEMU's default", tip="Number of virtual processors."),
    FormField("firmware", "Firmware", FieldKind.FILE, tip="BIOS, UEFI or the file of a firmware.",
              choices=(("bios", "bios"), ("uefi", "uefi"))),
    FormField("network", "Network", FieldKind.CHOICE, tip="Whether the guest has a network.",
              choices=(("user", "Connections to the outside (user)"), ("none", "None"))),
    FormField("labels", "Labels", hint="lab, web", tip="Words by which the wall finds the machine,"
              " separated by commas.", advanced=True),
    FormField("disks", "More disks", FieldKind.LINES, "a path on each line",
              "Further disks and CDs.", advanced=True),
    FormField("disk_bus", "Disk bus", FieldKind.CHOICE, tip="Bus of the disks.", advanced=True,
              choices=(("", "The board's own"), *((bus, bus) for bus in DISK_BUSES))),
    FormField("devices", "Devices", FieldKind.LINES, "virtio-rng-pci",
              "Values of QEMU's -device, one on each line.", advanced=True),
    FormField("arguments", "Arguments", hint="-boot menu=on", tip="QEMU's own arguments, as a shell"
              " reads them.", advanced=True),
    FormField("qemu", "QEMU", FieldKind.FILE, "from PATH", "QEMU program to run.", advanced=True),
    FormField("trust_disk", "Trust the disks", FieldKind.SWITCH,
              tip="Allow disks that refer to files in other folders or to network addresses."
              " Never for an untrusted disk.", advanced=True),
)  # fmt: skip
_KEYS = tuple(field.key for field in FIELDS if field.key not in ("name", "disk"))
#: Lists, and what separates their items in a field.
_SEPARATORS = {"disks": "\n", "devices": "\n", "labels": ","}
_DEFAULTS = Definition()


class CreateOrder(NamedTuple):
    """A machine to make or to change.

    Attributes:
        name: Its name.
        text: Its definition.
        old: The text of the definition before; None for a new machine.
        disk: The size of a new disk; empty for none.
        start: Whether it is started then.
    """

    name: str
    text: str
    old: str | None
    disk: str
    start: bool


class CreateForm:
    """The values of the fields, with the errors and notes about them.

    Args:
        taken: The names of all machines, for the proposed name.

    Attributes:
        values: The fields' contents, by key: texts, and a truth value for a `FieldKind.SWITCH`.
        old: The text of an existing machine's definition; None for a new machine.
        revision: Counts the changes.
        plan: The answer to the newest dry run; None without one.
        failures: Why the last order failed, by field; until the next change.
    """

    def __init__(self, taken: Collection[str] = ()) -> None:
        self.values: dict[str, str | bool] = {}
        self.old: str | None = None
        self.revision = 0
        self.plan: LaunchPlan | None = None
        self.failures: dict[str, str] = {}
        self._taken = frozenset(taken)
        self._touched: set[str] = set()
        self._found: dict[str, str] = {}
        self._read = _DEFAULTS
        self._fill(_DEFAULTS)
        self.values |= {"disk": "", "name": self._free_name("")}

    @property
    def is_new(self) -> bool:
        """True for a machine that is still to be defined."""
        return self.old is None

    @property
    def fields(self) -> tuple[FormField, ...]:
        """The fields of this machine."""
        return tuple(field for field in FIELDS if self.is_new or not field.only_new)

    def edit(self, name: str, text: str) -> None:
        """Show an existing machine's definition.

        Raises:
            DefinitionError: It is not valid TOML, or has a wrong value: its own editor is needed.
        """
        try:
            self._read = decode(known_part(text), _FILE, name)
        except DefinitionError as error:
            raise DefinitionError(f"{error}; correct it with: kju edit {name}") from error
        self.old = text
        self.values["name"] = name
        self._fill(self._read)
        self._changed()

    def set(self, key: str, value: str | bool) -> None:
        """Change a field: the user has typed."""
        if self.values[key] == value:
            return
        self.values[key] = value
        self._touched.add(key)
        self._found.pop(key, None)
        self.failures.clear()
        if key == "image" and self.is_new and "name" not in self._touched:
            self.values["name"] = self._free_name(str(value))
        self._changed()

    def take_file(self, path: str) -> None:
        """Use a file as the image; its contents decide later whether it is a disk or a CD."""
        self.set("image", path)

    # -- what follows from the values

    @property
    def name(self) -> str:
        """The machine's name."""
        return str(self.values["name"]).strip()

    @property
    def disk(self) -> str:
        """The size of the new disk; empty for none."""
        return str(self.values["disk"]).strip() if self.is_new else ""

    @property
    def errors(self) -> dict[str, str]:
        """The errors by field; under "" an error that belongs to no field."""
        return {**self.failures, **self._found, **self._checked()}

    @property
    def is_wrong(self) -> bool:
        """True while the machine cannot be made; a start that has failed can be tried again."""
        return bool(self._found or self._checked())

    @property
    def notes(self) -> list[str]:
        """Notes for the user besides the errors."""
        found = []
        if not (self.values["image"] or self.disk or self.values["disks"]):
            found.append("No image is given: the guest has no disk.")
        if self.disk and "disk" not in self._touched and self._image.get("kind") == "cdrom":
            found.append(f"The image is a CD: an empty disk of {self.disk} is made to install on.")
        if self._unknown:
            unknown = ", ".join(map(one_line, self._unknown))
            found.append(
                f"kju does not know {unknown}: this is kept, and the machine cannot start with it."
            )
        return found

    @property
    def can_start(self) -> bool:
        """True if the definition has no unknown key, with which no machine starts."""
        return not self._unknown

    @property
    def _unknown(self) -> list[str]:
        return unknown_keys(self.old) if self.old is not None else []

    @property
    def command_line(self) -> str:
        """QEMU's command line; empty while it is unknown."""
        return "" if self.plan is None else one_line(self.plan.command_line)

    @property
    def command_hint(self) -> str:
        """The text in place of an empty command line."""
        return "Correct the error first." if self.errors else "Asking QEMU..."

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """The arguments that kju adds to the command line, each with its reason."""
        if self.plan is None:
            return []
        image = self._image
        found = [(str(image["kind"]), str(image["reason"]))] if image else []
        found += [(shlex.join(words), why) for words, why in self.plan.appended]
        found += [
            (f"disk {disk['path']}", disk["reason"]) for disk in self.plan.info.get("disks", ())
        ]
        found += [("note", note) for note in self.plan.notes]
        return [(one_line(what), one_line(why)) for what, why in found]

    @property
    def text(self) -> str:
        """The definition.

        Raises:
            DefinitionError: The text cannot be changed so; its own editor is needed.
        """
        return self._text_without(())

    def _text_without(self, wrong: Collection[str]) -> str:
        """Return the definition with these keys as they were."""
        before = self.old or ""
        wanted = {key: self._wanted(key) for key in _KEYS if key not in wrong}
        new = {}
        for key, value in wanted.items():
            if value != getattr(self._read, key):
                new[key] = None if value == getattr(_DEFAULTS, key) else value
        text = changed(before, new)
        if new and not _holds(text, new):
            why = "the definition's text cannot be changed here"
            raise DefinitionError(f"{why}; use: kju edit {self.name}")
        return text

    def order(self, *, start: bool) -> CreateOrder | None:
        """Return the order for the machine; None while a field is wrong.

        Raises:
            DefinitionError: See `text`.
        """
        if self._checked():
            return None
        return CreateOrder(self.name, self.text, self.old, self.disk, start)

    # -- dry runs

    def dry_run(self) -> DryRun | None:
        """Return the dry run of this revision, without fields that are wrong.

        So errors of several fields are found together. None without a valid name or disk.
        """
        wrong = self._checked().keys()
        if not wrong <= set(_KEYS):
            return None
        try:
            text = self._text_without(wrong)
        except DefinitionError as error:
            self._found = self._placed(error)
            return None
        return DryRun(
            machine=self.name,
            # What the machine would run without the unknown keys, with which it cannot start.
            definition=known_part(text),
            new=self.is_new,
            disk=self.disk,
            client="kju desktop",
        )

    def answer(self, revision: int, result: LaunchPlan | KjuError) -> bool:
        """Receive the answer to a dry run; return whether it was the newest."""
        if revision != self.revision:
            return False
        if isinstance(result, KjuError):
            self.plan, self._found = None, self._placed(result)
        else:
            # Of a field that is wrong the plan has another value.
            self.plan, self._found = None if self._checked() else result, {}
            self._propose_disk()
        return True

    def fail(self, error: KjuError) -> None:
        """Show why an order failed."""
        self.failures = self._placed(error)

    def _placed(self, error: KjuError) -> dict[str, str]:
        """Return an error by its field."""
        key = error.key if isinstance(error, DefinitionError) else error.option
        known = {field.key for field in self.fields}
        text = _plain(str(error))
        if key not in known or key == "arguments":
            # QEMU's own error; and devices are arguments for it.
            found = field_of(text, self.values)
            key = found if found in known else key
        return {key if key in known else "": text}

    @property
    def _image(self) -> Mapping[str, Any]:
        """The dry run's facts about the image."""
        return (self.plan.info.get("image") or {}) if self.plan else {}

    def _propose_disk(self) -> None:
        """Propose a disk to install on, once the image has turned out to be a CD."""
        undecided = self.is_new and "disk" not in self._touched
        if (
            undecided
            and self._image.get("kind") == "cdrom"
            and not (self.values["disk"] or self.values["disks"])
        ):
            self.values["disk"] = PROPOSED_DISK
            self._changed()

    def _changed(self) -> None:
        self.revision += 1
        self.plan = None

    # -- values

    def _fill(self, definition: Definition) -> None:
        for key in _KEYS:
            self.values[key] = _shown(key, getattr(definition, key))

    def _free_name(self, image: str) -> str:
        stem = name_for(image or None)
        numbered = (f"{stem}-{number}" for number in range(2, len(self._taken) + 3))
        return next(name for name in (stem, *numbered) if name not in self._taken)

    def _wanted(self, key: str) -> object:
        return _value(key, self.values[key], getattr(_DEFAULTS, key))

    def _checked(self) -> dict[str, str]:
        """Return the errors that need no I/O, by field."""
        found = {}
        try:
            check_name(self.name)
        except UsageError as error:
            found["name"] = "a name is needed" if not self.name else str(error)
        if self.is_new and self.name in self._taken:
            found["name"] = f"there is a machine named {self.name!r} already"
        if self.disk and (fault := size_fault("disk", self.disk)):
            found["disk"] = fault
        for key in _KEYS:
            try:
                value = self._wanted(key)
                text = "" if value is None else changed("", {key: value})
                decode(text, _FILE, self.name)
            except (KjuError, ValueError) as error:
                found[key] = _plain(str(error))
        return found


def _holds(text: str, values: Mapping[str, object]) -> bool:
    """Return whether TOML has these values; a key can be written in ways that are not found."""
    if first_dotted_line(text, MAX_DOTS) is not None:
        return False
    try:
        found = msgspec.toml.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return all(found.get(key) == value for key, value in values.items())


def _shown(key: str, value: object) -> str | bool:
    """Return a definition's value as a field shows it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        separator = _SEPARATORS.get(key, "").replace(",", ", ")
        return separator.join(value) if separator else shlex.join(value)
    return "" if value is None else str(value)


def _value(key: str, shown: str | bool, default: object) -> object:
    """Return a field's content as a definition's value, valid or not.

    Raises:
        ValueError: It cannot be read as a list of words.
    """
    if isinstance(shown, bool):
        return shown
    if separator := _SEPARATORS.get(key):
        return [item.strip() for item in shown.split(separator) if item.strip()]
    if key == "arguments":
        try:
            return shlex.split(shown)
        except ValueError as error:
            raise ValueError(f"these are not words of a shell: {error}".lower()) from error
    text = shown.strip()
    if not text:
        return default
    if key == "cpus" and re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        return int(text) or default
    return text


def _plain(message: str) -> str:
    """Return an error's message without the place in the file, which the form does not show."""
    text = _PLACE.sub("", one_line(message))
    if found := _ITEM.match(text):
        item = f"line {int(found[2]) + 1}: " if found[2] else ""
        if found[1] in _KEYS:
            return item + text[found.end() :]
    return text
