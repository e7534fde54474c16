"""Takes out of ELF files what no process sees, with a locked strip of GNU binutils.

Wheels carry symbol tables and debug information that are larger than the code itself.
"""

from pathlib import Path

from rules.layers import elf
from rules.layers.elf import ElfError


class Strip:
    """The program in an unpacked Debian root, run by that root's own dynamic loader."""

    def __init__(self, root: Path) -> None:
        """Raises `FileNotFoundError` where the root has no such program."""
        self._program = _only(root, "usr/bin/*-strip")
        self._loader = _only(root, "usr/lib/*-linux-gnu*/ld-linux-*.so.*")

    def stripped(self, content: bytes, architecture: str) -> bytes | None:
        """An ELF file without symbols and debug information; None for what there is to be left.

        That is any other file, and what a linker has still to link. `architecture` is the CPU that
        it has to be for. Raises `ElfError` for a file that is broken, for another CPU, or that a
        process would see differently afterwards.
        """
        if not elf.is_elf(content) or not elf.is_linked(content, architecture):
            return None
        if not elf.for_debuggers(content):
            return None
        made = self._run(content)
        elf.compare(content, made)
        if left := elf.for_debuggers(made):
            raise ElfError(f"strip left {', '.join(left)}")
        return made

    def _run(self, content: bytes) -> bytes:
        # Few wheels have an ELF file, and each has a process of its own that starts.
        import subprocess  # noqa: PLC0415
        import tempfile  # noqa: PLC0415

        with tempfile.TemporaryDirectory(prefix="strip-") as folder:
            before, after = Path(folder, "before"), Path(folder, "after")
            before.write_bytes(content)
            done = subprocess.run(
                [
                    *(self._loader, "--library-path", self._loader.parent, self._program),
                    *("--strip-unneeded", "--enable-deterministic-archives"),
                    # Which --strip-unneeded leaves.
                    *(f"--remove-section={name}*" for name in elf.FOR_DEBUGGERS),
                    *("-o", after, before),
                ],
                capture_output=True,
                check=False,
                env={"LC_ALL": "C"},
                text=True,
            )
            # Where it warns, what it wrote is not to be trusted.
            if done.returncode or done.stderr:
                said = done.stderr.strip().replace(f"{folder}/", "")
                raise ElfError(f"strip ended with {done.returncode} and said: {said}")
            return after.read_bytes()


def _only(root: Path, glob: str) -> Path:
    found = sorted(root.glob(glob))
    if len(found) != 1:
        raise FileNotFoundError(f"expected one {glob} in {root}, got {found}")
    return found[0]
