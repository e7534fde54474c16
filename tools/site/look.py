"""Has Chromium show each page of the site, on a telephone and on a desk, for a person to look at.

    tools/bazel run //docs:look -- FOLDER

writes a picture of each page at each width to the folder. The exit code is 1 where a page is wider
than its window or there is no Chromium, which comes from the host: with what it needs it is larger
than all that the tests fetch.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Of a telephone and of a laptop, in CSS pixels.
WIDTHS = (390, 1280)
HEIGHT = 1600
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Headless Chromium has no window narrower than 500 pixels: a page stands in a frame to be measured,
# and tells its width to the page around it.
_MEASURE = "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script>"
_FRAME = """\
<!doctype html><title></title>
<script>onmessage = (event) => {{ document.title = 'width ' + event.data }}</script>
<iframe src="{name}" style="border: 0" width="{width}" height="{height}"></iframe>
"""
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--virtual-time-budget=1000",
    # A page that needs another host is seen without what it has from there.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class LookError(Exception):
    """There is no Chromium, or it does not show a page."""


def chromium(path: str | None) -> str:
    """The program; raises `LookError` where there is none."""
    for name in _NAMES:
        if found := shutil.which(name, path=path):
            return found
    raise LookError("Chromium expected in PATH. On Debian: apt-get install chromium")


def show(program: str, page: Path, width: int, picture: Path) -> int:
    """Writes a picture of a page and returns how wide the page is; raises `LookError`."""
    command = [program, *_OPTIONS, f"--window-size={width},{HEIGHT}"]
    subprocess.run(
        [*command, f"--screenshot={picture}", page.as_uri()], capture_output=True, check=False
    )
    frame = page.with_name("frame.html")
    frame.write_text(_FRAME.format(name=page.name, width=width, height=HEIGHT))
    done = subprocess.run(
        [*command, "--dump-dom", frame.as_uri()], capture_output=True, text=True, check=False
    )
    frame.unlink()
    measured = re.search(r"<title>width (\d+)</title>", done.stdout)
    if measured is None or not picture.exists():
        raise LookError(f"{page.name}: Chromium did not show it:\n{done.stderr[-2000:]}")
    return int(measured[1])


def look(site: Path, folder: Path, program: str) -> list[str]:
    """Writes the pictures; returns a line for each page that is wider than its window."""
    wide = []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="look-") as scratch:
        copy = Path(scratch, "site")
        shutil.copytree(site, copy, copy_function=shutil.copyfile)
        for page in sorted(copy.rglob("*.html")):
            page.chmod(0o644)
            page.write_text(page.read_text().replace("</body>", f"{_MEASURE}</body>"))
            name = page.relative_to(copy).with_suffix("").as_posix().replace("/", "-")
            for width in WIDTHS:
                found = show(program, page, width, folder / f"{name}-{width}.png")
                if found > width:
                    wide.append(f"{name}: {found} pixels wide in a window of {width}")
    return wide


def main(arguments: list[str]) -> int:
    """Looks at the site that the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools/bazel run //docs:look --", description=__doc__)
    parser.add_argument("site", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    options = parser.parse_args(arguments)
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    try:
        wide = look(options.site, base / options.folder, chromium(os.environ.get("PATH")))
    except (LookError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    print("\n".join(wide) or f"pictures of every page: {options.folder}")
    return 1 if wide else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
