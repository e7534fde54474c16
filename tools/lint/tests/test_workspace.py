"""Imports in this workspace go down only (docs/architecture.md, "Rooms")."""

import os
from pathlib import Path

from tools.lint import imports
from tools.lint.imports import Closed

SOURCES = Path(os.environ["SOURCES"]).parent
FILES = [file.relative_to(SOURCES) for file in sorted(SOURCES.rglob("*.py"))]
GRAPH = imports.read(SOURCES, FILES)
ROOMS = {"serving", "tools", "tests"}
# Whatever stands on serving/ and is none of the rooms beside it.
SERVICES = sorted(
    {
        name.split(".")[0]
        for name, imported in GRAPH.items()
        if any(one.split(".")[0] == "serving" for one in imported)
    }
    - ROOMS
)
TOOLS = sorted({name.split(".")[1] for name in GRAPH if name.startswith("tools.")})
# They stand on nothing else here, so that whoever wants may stand on them.
BELOW = ("git", "locks", "signals", "terminal")
ABOVE = [f"tools.{name}" for name in TOOLS if name not in {"debian", *BELOW}]
PRODUCT = ("serving", *SERVICES, "image", "rules", "deploy")


def is_test(module: str) -> bool:
    """Whether a module is a test, or helps one: what is tested never sees it."""
    parts = module.split(".")
    return (
        "tests" in parts or parts[-1] in {"conftest", "fixtures"} or parts[-1].startswith("test_")
    )


CLOSED = [
    *(
        Closed("serving", other, "serving knows no service and no image")
        for other in (*SERVICES, "image", "rules", "deploy")
    ),
    *(
        Closed(room, service, "recipes and rules serve any service")
        for room in ("image", "rules")
        for service in SERVICES
    ),
    *(
        Closed(room, "tools.debian", "tools/debian is a tree of its own")
        for room in (*PRODUCT, "tests")
    ),
    *(
        Closed(f"tools.{other}", "tools.debian", "tools/debian is a tree of its own")
        for other in TOOLS
        if other != "debian"
    ),
    *(
        Closed("tools.debian", other, "tools/debian reaches out for what lies below it alone")
        for other in (*PRODUCT, "tests", *ABOVE)
    ),
    *(
        Closed(f"tools.{room}", other, f"tools/{room} lies below all who use it")
        for room in BELOW
        for other in (*PRODUCT, "tests", *ABOVE)
    ),
]
# Of tests alone it is no harm: serving's own start its sample service by tools/dev.
TESTS_ARE_NOT_PRODUCT = [
    *(Closed(room, "tests", "product code never knows its tests") for room in PRODUCT),
    Closed("serving", "tools", "serving runs without the tools that build and start it"),
]


def test_the_workspace_was_read() -> None:
    assert {name.split(".")[0] for name in GRAPH} >= {"serving", "rules", "tools"}
    assert SERVICES


def test_no_modules_import_each_other() -> None:
    assert imports.circles(GRAPH) == []


def test_imports_go_down_only() -> None:
    assert imports.trespasses(GRAPH, CLOSED) == []


def test_product_code_imports_no_tests() -> None:
    product = {name: found for name, found in GRAPH.items() if not is_test(name)}
    inside = [
        f"{name}:{line} imports {imported}"
        for name, found in product.items()
        for imported, line in found.items()
        if name.split(".")[0] in PRODUCT and is_test(imported)
    ]

    assert imports.trespasses(product, TESTS_ARE_NOT_PRODUCT) + inside == []
