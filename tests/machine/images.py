"""Images unpacked before the virtual machine boots: in it, software would take a minute for that.

They are shared read-only. A container needs mount points that the image has not, and some tests
change files: each gets an overlay (Documentation/filesystems/overlayfs.rst), in memory, of its own.
"""

import ctypes
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.container import kernel, rootfs
from tests.container.runtime import Unpacked
from tests.oci.filesystem import Entry
from tests.oci.layout import Configuration, Image

FILES = "files"
_CONFIGURATION = "configuration.json"
_OWNERS = "owners.json"
_MODULE = "usr/lib/modules/*/kernel/fs/overlayfs/overlay.ko*"
_SYS_FINIT_MODULE = 313
_COMPRESSED = 4


def unpack(image: Image, folder: Path) -> None:
    """Unpacks an image, outside of the virtual machine, to a folder that is made.

    The files belong to the caller, who need not be root: who they should belong to is noted.
    """
    (folder / FILES).mkdir(parents=True)
    (folder / FILES).chmod(0o755)
    rootfs.unpack(image, folder / FILES, owners=False)
    (folder / _CONFIGURATION).write_text(json.dumps(asdict(image.configuration)))
    (folder / _OWNERS).write_text(json.dumps(list(_not_roots(image))))


def _not_roots(image: Image) -> Iterator[tuple[str, int, int]]:
    def owned(entry: Entry) -> bool:
        return (entry.uid, entry.gid) != (0, 0)

    for entry in filter(owned, image.files):
        yield entry.path, entry.uid, entry.gid


def overlaid(source: Path, folder: Path) -> Unpacked:
    """What `unpack` made, for containers in the virtual machine: changes go to `folder`, in memory.

    Raises `OSError` where the kernel has no overlays.
    """
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for made in (upper, work, root):
        made.mkdir(parents=True)
    layers = f"lowerdir={source / FILES},upperdir={upper},workdir={work}"
    kernel.mount("overlay", str(root), "overlay", data=layers)
    for path, uid, gid in json.loads((source / _OWNERS).read_text()):
        file = root / path.lstrip("/")
        mode = file.lstat().st_mode
        os.chown(file, uid, gid, follow_symlinks=False)
        if not file.is_symlink():
            # chown(2) takes setuid bits away.
            file.chmod(mode & 0o7777)
    configuration = json.loads((source / _CONFIGURATION).read_text())
    return Unpacked(Configuration(**configuration), root)


def load_module(tree: Path) -> None:
    """Gives the kernel its overlay file system, which is a module of the virtual machine's tree.

    Raises `FileNotFoundError` where it is missing and `OSError` where the kernel refuses it.
    """
    found = sorted(tree.glob(_MODULE))
    if len(found) != 1:
        raise FileNotFoundError(f"expected one {_MODULE} in {tree}, got {found}")
    with found[0].open("rb") as module:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(_SYS_FINIT_MODULE, module.fileno(), b"", _COMPRESSED) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(found[0]))
