"""SHELL: every file that kju writes or removes.

    folder      a folder of this user's: write, read, remove, lock, listen
    sockets     the file of a Unix socket
    tree        remove a folder that holds only files of kju
    writing     the steps of a write; a file at a path that the user named (``-o screen.png``)
    filling     files that are written in parts: copies of images and of bases
    growing     a file that the user named and that can be read while it is written: a recording
    ownership   whose a file, folder or peer is
    failure     the error for a failed operation; limits of open files and of the bytes read
    proc        the kernel's texts in /proc

Rules:

- A folder is opened once, without following a link, and its owner is checked. Later calls use that
  descriptor, so renaming or replacing the folder has no effect on them.
- A file appears whole: a temporary file in the same folder, fsync, rename, fsync of the folder.
  A write that fails leaves the old file and no temporary one. (`growing` is the exception.)
- Only regular files of this user (or root) are read.
- Only files that kju wrote are removed; a folder with other files in it is refused.
- Every failure is a `kju.errors.FileError` that names the file.

Surfaces (`kju.memory`) are the exception: they are mapped memory with rules of their own.
"""

from .failure import (
    descriptor_limit,
    failing,
    file_error,
    limited,
    lost_descriptors,
    most_descriptors,
    raise_descriptor_limit,
    read_file,
)
from .filling import FillingFile, write_parts
from .folder import Folder, folder_in, private_folder
from .growing import GrowingFile
from .ownership import Peer, peer_of
from .proc import proc_lines, read_proc, stat_fields
from .sockets import check_unused
from .tree import Known, listing, remove_tree, unknown
from .writing import always, check_new, is_temporary, make_folders, write_output

__all__ = [
    "FillingFile",
    "Folder",
    "GrowingFile",
    "Known",
    "Peer",
    "always",
    "check_new",
    "check_unused",
    "descriptor_limit",
    "failing",
    "file_error",
    "folder_in",
    "is_temporary",
    "limited",
    "listing",
    "lost_descriptors",
    "make_folders",
    "most_descriptors",
    "peer_of",
    "private_folder",
    "proc_lines",
    "raise_descriptor_limit",
    "read_file",
    "read_proc",
    "remove_tree",
    "stat_fields",
    "unknown",
    "write_output",
    "write_parts",
]
