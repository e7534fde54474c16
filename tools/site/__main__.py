"""Makes the site of the documentation: Sphinx over the repository's pages, as they are.

The bytes depend on the pages and on the locked wheels alone. A link that leads nowhere, a page that
the index does not name and whatever else Sphinx warns of end the build with exit code 1.
"""

import argparse
import importlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

# The page of the site that comes first.
FIRST = "README.md"
INDEX = "docs/index.md"

_SETTINGS = {
    "extensions": ["myst_parser"],
    "root_doc": FIRST.removesuffix(".md"),
    "html_theme": "furo",
    "html_copy_source": False,
    "html_show_copyright": False,
    "html_show_sphinx": False,
    "html_use_index": False,
    "html_static_path": ["style"],
    "html_css_files": ["own.css"],
    # As forges name them, down to the deepest heading there is.
    "myst_heading_anchors": 4,
    # A page's indented blocks are commands and code of many languages.
    "highlight_language": "none",
}

# Cells are read from the top left, headings above them.
_STYLE = """\
article table.docutils th { text-align: left; }
article table.docutils td { vertical-align: top; }
"""


def navigation(index: str) -> str:
    r"""The menu, as Sphinx takes it: the pages that the index names, under its headings.

    >>> print(navigation("## I run it\n\n| [a](a.md) | [b](../b.md) and [c](a.md#x) |\n"))
    <BLANKLINE>
    ```{toctree}
    :caption: I run it
    :hidden:
    <BLANKLINE>
    docs/a
    b
    ```
    <BLANKLINE>
    """
    parts = [""]
    seen = {FIRST}
    for section in re.split(r"^## ", index, flags=re.MULTILINE):
        title, _, text = section.partition("\n")
        entries = []
        for link in re.findall(r"\]\(([^)#]+\.md)\)", text):
            page = os.path.normpath(Path(INDEX).parent / link)
            if page not in seen:
                seen.add(page)
                entries.append(page.removesuffix(".md"))
        if entries:
            caption = "Documentation" if title.startswith("# ") else title
            lines = ["```{toctree}", f":caption: {caption}", ":hidden:", "", *entries, "```", ""]
            parts += lines
    return "\n".join(parts)


def _stage(sources: list[tuple[str, Path]], folder: Path) -> None:
    """Puts the pages where Sphinx reads them, with a menu on the first."""
    texts = dict(sources)
    for name, file in sources:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    first = folder / FIRST
    menu = navigation(texts[INDEX].read_text(encoding="utf-8"))
    own = f"\n```{{toctree}}\n:hidden:\n\nWho reads what <{INDEX.removesuffix('.md')}>\n```\n"
    first.write_text(first.read_text(encoding="utf-8") + own + menu, encoding="utf-8")
    title = re.search(r"^# (.+)$", first.read_text(encoding="utf-8"), re.MULTILINE)
    name = title[1] if title else "Documentation"
    settings = {"project": name, "html_title": name, **_SETTINGS}
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    (folder / "style").mkdir()
    (folder / "style/own.css").write_text(_STYLE, encoding="utf-8")
    (folder / "conf.py").write_text("\n".join([*lines, ""]), encoding="utf-8")


def build(sources: list[tuple[str, Path]], site: Path) -> int:
    """Makes the site; returns Sphinx's exit code.

    Args:
        sources: path in the repository, and the file.
        site: the folder that it goes to, empty or not there yet.
    """
    # In another language the page's own words would differ; a date would be that of today.
    os.environ |= {"LANGUAGE": "en", "SOURCE_DATE_EPOCH": "0", "TZ": "UTC"}
    sphinx = importlib.import_module("sphinx.cmd.build")
    with tempfile.TemporaryDirectory(prefix="site-") as scratch:
        folder = Path(scratch, "pages")
        made = Path(scratch, "site")
        _stage(sources, folder)
        trees = str(Path(scratch, "trees"))
        options = ["--quiet", "--fail-on-warning", "--keep-going", "--builder=html"]
        options += [f"--doctree-dir={trees}", str(folder), str(made)]
        code = int(sphinx.main(options))
        if code:
            return code
        # What it keeps for a build after this one.
        (made / ".buildinfo").unlink(missing_ok=True)
        shutil.copyfile(made / FIRST.replace(".md", ".html"), made / "index.html")
        shutil.copytree(made, site, dirs_exist_ok=True)
    return 0


def main() -> int:
    """Makes a site of the files that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, required=True, help="the folder to make")
    parser.add_argument("sources", nargs="+", metavar="NAME=FILE")
    options = parser.parse_args()
    pairs = [each.partition("=") for each in options.sources]
    return build([(name, Path(file)) for name, _, file in pairs], options.site)


if __name__ == "__main__":
    sys.exit(main())
