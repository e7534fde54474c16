"""Who imports whom in the workspace's Python: circles, and ways that are closed.

Every import counts: at the top of a module, in a function, and where only a type checker looks.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# By module, the modules of the workspace that it imports, with the line of the first import.
Graph = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Closed:
    """A way that is closed: no module below `importer` imports one below `imported`."""

    importer: str
    imported: str
    reason: str


def read(folder: Path, files: Iterable[Path]) -> Graph:
    """The imports between Python files, whose paths are relative to a folder."""
    names = {file: _name(file) for file in files}
    modules = set(names.values())
    graph: Graph = {}
    for file, name in sorted(names.items()):
        tree = ast.parse((folder / file).read_bytes(), str(file))
        found = graph.setdefault(name, {})
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for wanted, line in _imports(tree, package):
            imported = wanted if wanted in modules else wanted.rpartition(".")[0]
            if imported in modules and imported != name:
                found.setdefault(imported, line)
    return graph


def _name(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, int]]:
    """Dotted names that are imported: of a module, or of what a module has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of modules that import each other, sorted (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for imported in graph.get(name, ()):
            if imported not in order:
                visit(imported)
                low[name] = min(low[name], low[imported])
            elif imported in stack:
                low[name] = min(low[name], order[imported])
        if low[name] == order[name]:
            at = stack.index(name)
            group = sorted(stack[at:])
            del stack[at:]
            if len(group) > 1:
                found.append(group)

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return sorted(found)


def trespasses(graph: Graph, closed: Iterable[Closed]) -> list[str]:
    """A line for each import that goes a closed way."""
    ways = list(closed)
    return [
        f"{importer}:{line} imports {imported}: {way.reason}"
        for importer, found in sorted(graph.items())
        for imported, line in sorted(found.items())
        for way in ways
        if _below(importer, way.importer) and _below(imported, way.imported)
    ]


def _below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
