"""Undo the compression of kernels and initramfs, which takes an emulated processor seconds.

A kernel stays a bzImage: its own real-mode code, which finds the memory and sets the screen, then
code of ours in place of the decompressor, then the kernel where it runs. Ours enters long mode and
jumps to the kernel, as the decompressor does at its end. A UEFI firmware cannot start it: the code
for that was in the decompressor.

Source:
    Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header";
    arch/x86/kernel/head_64.S, ``startup_64``, for what it expects of a 64-bit loader.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

#: Where the part behind the real-mode code is loaded, and our page tables in it.
_LOADED = 0x100000
_TABLES = _LOADED + 0x1000
_PAGE, _LARGE_PAGE = 0x1000, 0x200000
_WRITABLE, _LARGE = 0b11, 0x80
_PT_LOAD = 1


def kept(source: Path, change: Callable[[bytes], bytes]) -> Path:
    """Return a file beside *source* with its changed contents; it is made if it is missing."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    target = source.with_name(f"{source.name}-{digest}")
    if not target.exists():
        scratch = source.with_name(f"{source.name}.new")
        scratch.write_bytes(change(source.read_bytes()))
        scratch.rename(target)
        made = sorted(source.parent.glob(f"{source.name}-*"), key=lambda path: path.stat().st_mtime)
        for old in made[:-2]:  # another checkout may use one
            old.unlink()
    return target


def archive(image: bytes) -> bytes:
    """Return an initramfs without its compression; the same if it is not a gzip."""
    return gzip.decompress(image) if image.startswith(b"\x1f\x8b") else image


def kernel(image: bytes) -> bytes:
    """Return a kernel without its compression; the same if that is not an xz of an ELF file."""
    setup_size = (image[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<2I", image, 0x248)
    try:
        elf = lzma.LZMADecompressor().decompress(image[setup_size + offset :][:length])
    except lzma.LZMAError:
        return image
    if elf[:6] != b"\x7fELF\x02\x01":
        return image
    memory = _memory(elf)
    (entry,) = struct.unpack_from("<Q", elf, 24)
    for start, content in ((_LOADED, _enter_long_mode(entry)), (_TABLES, _page_tables())):
        memory[start - _LOADED : start - _LOADED + len(content)] = content
    setup = bytearray(image[:setup_size])
    struct.pack_into("<I", setup, 0x1F4, len(memory) // 16)
    struct.pack_into("<I", setup, 0x260, len(memory))
    return bytes(setup + memory)


def _memory(elf: bytes) -> bytearray:
    """Return the memory from `_LOADED` on, with the kernel's segments in their places.

    It includes the zeros at the end that the kernel uses: QEMU puts data of its own behind it.
    """
    memory = bytearray()
    (headers,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<2H", elf, 54)
    for header in range(headers, headers + count * size, size):
        kind, _, start, _, address, in_file, in_memory, _ = struct.unpack_from("<2I6Q", elf, header)
        if kind == _PT_LOAD:
            begin = address - _LOADED
            memory.extend(bytes(max(begin + in_memory - len(memory), 0)))
            memory[begin : begin + in_file] = elf[start : start + in_file]
    memory.extend(bytes(-len(memory) % 16))
    return memory


def _page_tables() -> bytes:
    """Return tables that map the first GiB to itself."""
    top = struct.pack("<Q", _TABLES + _PAGE | _WRITABLE).ljust(_PAGE, b"\0")
    middle = struct.pack("<Q", _TABLES + 2 * _PAGE | _WRITABLE).ljust(_PAGE, b"\0")
    entries = (n * _LARGE_PAGE | _WRITABLE | _LARGE for n in range(512))
    return top + middle + struct.pack("<512Q", *entries)


def _enter_long_mode(entry: int) -> bytes:
    """Return the code at `_LOADED`; it starts with 32 bits, no paging, the parameters in ESI."""
    after = _LOADED + 0x60
    code = bytes.fromhex("fa 0f0115") + struct.pack("<I", after + 32)  # cli; lgdt
    code += bytes.fromhex("0f20e0 83c820 0f22e0")  # CR4: physical address extension
    code += b"\xb8" + struct.pack("<I", _TABLES) + bytes.fromhex("0f22d8")  # CR3
    code += bytes.fromhex("b9800000c0 0f32 0d00010000 0f30")  # EFER: long mode
    code += bytes.fromhex("0f20c0 0d01000080 0f22c0")  # CR0: paging
    code += b"\xea" + struct.pack("<IH", _LOADED + len(code) + 7, 0x10)  # a far jump: 64 bits
    code += bytes.fromhex("b818000000 8ed8 8ec0 8ed0 8ee0 8ee8")  # the data segments
    code += bytes.fromhex("89f6")  # mov esi, esi: the upper half is zero
    code += b"\xb8" + struct.pack("<I", entry) + bytes.fromhex("ffe0")  # mov eax; jmp rax
    descriptors = struct.pack("<4Q", 0, 0, 0x00AF9A000000FFFF, 0x00CF92000000FFFF)
    return code.ljust(after - _LOADED, b"\0") + descriptors + struct.pack("<HI", 31, after)
