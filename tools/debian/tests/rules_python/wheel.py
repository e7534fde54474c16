"""Makes small wheels for tests."""

import zipfile
from pathlib import Path


def make(folder: Path, name: str, *, metadata: str = "", **files: str) -> Path:
    """Writes a wheel called `name` whose METADATA fits it; `files` are its other entries."""
    distribution, version, *_ = name.removesuffix(".whl").split("-")
    info = f"{distribution}-{version}.dist-info"
    header = f"Metadata-Version: 2.4\nName: {distribution}\nVersion: {version}\n"
    tag = "-".join(name.removesuffix(".whl").split("-")[2:])
    entries = {
        f"{distribution}.py": "",
        **files,
        f"{info}/METADATA": header + metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in entries.items():
            # A name alone would be given the time of day, and the archive another hash each time.
            archive.writestr(zipfile.ZipInfo(entry), text)
    return path
