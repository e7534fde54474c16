"""What the machine has to have for containers, and what to do where it lacks something."""

import os
import shutil


class NeedError(Exception):
    """The machine lacks what containers need; the text says what to do about it."""


# Where distributions put them; an ordinary user's PATH often ends before sbin.
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def program(name: str, package: str) -> str:
    """The path of a program; raises `NeedError` naming the Debian package that brings it."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS])
    found = shutil.which(name, path=path)
    if found is None:
        raise NeedError(
            f"{name} is missing: container tests run the image with it. On Debian: "
            f"apt-get install {package}. Bazel from tools/bazel (BAZEL_FROM=debian) brings its own"
        )
    return found
