"""Unpacks a wheel the way an installer lays it out, without an installer's traces."""

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from tools.debian.modules.rules_python.wheels.error import WheelError

# Where the folders of NAME-VERSION.data go (binary distribution format, "The .data directory").
_DATA = {
    "data": "data",
    "headers": "include",
    "platlib": "site-packages",
    "purelib": "site-packages",
    "scripts": "bin",
}
# What installers write or read only while they install: times and paths of one machine among it.
_INSTALLER_FILES = frozenset(
    {"INSTALLER", "RECORD", "RECORD.jws", "RECORD.p7s", "REQUESTED", "direct_url.json"}
)
# Such a file would make a Bazel package of its folder, which hides the folder from globs.
_BAZEL_FILES = frozenset({"BUILD", "BUILD.bazel"})


def unpack(wheel: Path, folder: Path) -> Path:
    """Unpacks a wheel below a folder and returns the path of its METADATA.

    Modules go to `site-packages`, scripts to `bin`; files are 0755 where the archive says that
    they can be run, else 0644.

    Raises:
        WheelError: the file is no wheel, or an entry would land outside of the folder, or on
            another entry.
    """
    metadata: list[Path] = []
    try:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                place = _place(entry.filename, wheel.name)
                if entry.is_dir() or place is None:
                    continue
                file = folder / place
                if file.exists():
                    raise WheelError(f"{wheel.name}: two entries for {place}")
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, file.open("xb") as sink:
                    shutil.copyfileobj(source, sink)
                file.chmod(0o755 if entry.external_attr >> 16 & 0o111 else 0o644)
                if place.name == "METADATA" and place.parent.suffix == ".dist-info":
                    metadata.append(file)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise WheelError(f"{wheel.name} is not a wheel: {error}") from None
    if len(metadata) != 1:
        raise WheelError(f"{wheel.name} is not a wheel: it has {len(metadata)} METADATA files")
    return metadata[0]


def _place(name: str, wheel: str) -> PurePosixPath | None:
    """Where an entry goes, or None for what stays out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise WheelError(f"{wheel}: entry {name!r} points outside of the archive")
    if path.name in _BAZEL_FILES:
        return None
    first = PurePosixPath(path.parts[0]) if path.parts else path
    if first.suffix == ".dist-info" and len(path.parts) == 2 and path.name in _INSTALLER_FILES:
        return None
    if first.suffix == ".data" and len(path.parts) > 2:
        kind = path.parts[1]
        if kind not in _DATA:
            raise WheelError(f"{wheel}: {name!r}; expected one of {', '.join(_DATA)}")
        return PurePosixPath(_DATA[kind], *path.parts[2:])
    return PurePosixPath("site-packages") / path
