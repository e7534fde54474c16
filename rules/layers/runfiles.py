"""Where the files of Python targets go in a layer.

Bazel names a file at run time by a path that starts with "../REPOSITORY/" for what is not this
repository's. A wheel's repository has folders without meaning to Python above the one that is
imported from; `PyInfo.imports` of its target says which that is, as REPOSITORY/FOLDER.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from rules.layers.tree import LayerError

_OTHER = "../"
_DIST_INFO = re.compile(
    r"\.\./(?P<repository>[^/]+)/(?:[^/]+/)*(?P<name>[^/-]+)-(?P<version>[^/-]+)\.dist-info/METADATA"
)


class Places:
    """Folders of the image for this repository's files and for wheels'; "" leaves them out."""

    def __init__(self, sources: str, packages: str, import_roots: Iterable[str]) -> None:
        self._sources = sources
        self._packages = packages
        self._roots = frozenset(import_roots)

    def of(self, runfile: str) -> str | None:
        """The path in the image; None for what does not belong in the layer.

        >>> Places("/app", "/lib", ["wheel/site-packages"]).of("../wheel/site-packages/a/b.py")
        '/lib/a/b.py'
        >>> Places("/app", "", []).of("clock/app.py")
        '/app/clock/app.py'
        """
        if not runfile.startswith(_OTHER):
            return f"{self._sources}/{runfile}" if self._sources else None
        if not self._packages:
            return None
        path = PurePosixPath(runfile.removeprefix(_OTHER))
        # The deepest folder wins: what lies in it is imported by the shortest name.
        for parent in path.parents:
            if parent.as_posix() in self._roots:
                return f"{self._packages}/{path.relative_to(parent)}"
        # Programs and headers of wheels, which nothing imports.
        return None


class Wheels:
    """Which wheel a runfile is of, as NAME==VERSION; the names of `.dist-info` folders say so."""

    def __init__(self, runfiles: Iterable[str]) -> None:
        self._names = {
            found["repository"]: f"{_normal(found['name'])}=={found['version']}"
            for found in map(_DIST_INFO.fullmatch, runfiles)
            if found
        }

    def origin(self, runfile: str) -> str:
        """The wheel's name and version; "" for this repository's own files.

        >>> metadata = "../fast_313/site-packages/Fast_API-1.0.dist-info/METADATA"
        >>> Wheels([metadata]).origin("../fast_313/site-packages/fast_api/app.py")
        'fast-api==1.0'
        """
        if not runfile.startswith(_OTHER):
            return ""
        repository = runfile.removeprefix(_OTHER).partition("/")[0]
        return self._names.get(repository, f"@{repository}")


def _normal(name: str) -> str:
    """A package's name as the index normalises it (packaging.python.org, name normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def runnable(module: str, sources: str, paths: Iterable[str]) -> None:
    """Checks that `python -m MODULE` finds a program in the folder `sources` of the image.

    `paths` are those of the layer, relative to its root. Raises `LayerError` naming what could be
    run in place of the module.
    """
    root = sources.strip("/")
    place = f"{root}/{module.replace('.', '/')}"
    known = set(paths)
    if known & {f"{place}/__main__.py", f"{place}.py"}:
        return
    programs = [
        PurePosixPath(path).parent.relative_to(root).as_posix().replace("/", ".")
        for path in sorted(known)
        if path.startswith(f"{root}/") and path.endswith("/__main__.py")
    ]
    raise LayerError(
        f"expected a module {module} to run, /{place}/__main__.py or /{place}.py, got "
        f"{'only ' + ', '.join(programs) if programs else 'no program at all'} "
        "from the library. Mend `module` or `library` of service_image"
    )
