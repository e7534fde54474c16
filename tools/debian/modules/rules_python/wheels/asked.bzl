"""Which wheels BUILD files ask for, so that one that is not locked can be told of."""

_UNLOCKED = """load("//:unlocked.bzl", "unlocked")

[
    unlocked(
        name = name,
        message = {message},
        tags = ["manual"],
        visibility = ["//visibility:public"],
    )
    for name in [{name}, "pkg", "data", "dist_info"]
]
"""

# More levels than a workspace has; Starlark knows no loop without an end.
_DEPTH = 64

_NAME = "abcdefghijklmnopqrstuvwxyz0123456789_"

def named(text, repository):
    """The packages of a repository that a BUILD file's labels name.

    Args:
        text: the BUILD file.
        repository: what it calls the repository.

    Returns:
        Their names, in the order of the file.
    """
    names = []
    for rest in text.split('"@{}//'.format(repository))[1:]:
        name = ""
        for character in rest.elems():
            if character not in _NAME:
                break
            name += character
        if name:
            names.append(name)
    return names

def asked_for(ctx, repository):
    """What the workspace's BUILD files name of a repository.

    The files are watched, and the workspace's top folder. Not the folders below: Bazel 7 fails
    ("Inconsistent filesystem operations") where a folder whose entries it watches is deleted.

    Args:
        ctx: the repository_ctx.
        repository: what BUILD files call it.

    Returns:
        For each package that they name, one of the files that do.
    """
    found = {}
    folders = [ctx.workspace_root]
    for _ in range(_DEPTH):
        deeper = []
        for folder in folders:
            for entry in folder.readdir(watch = "yes" if folder == ctx.workspace_root else "no"):
                if entry.basename in ["BUILD.bazel", "BUILD"]:
                    for name in named(ctx.read(entry, watch = "yes"), repository):
                        found[name] = str(entry).removeprefix(str(ctx.workspace_root) + "/")
                elif not entry.basename.startswith((".", "bazel-")) and entry.is_dir and entry.realpath == entry:
                    deeper.append(entry)
        folders = deeper
    return found

def unlocked(name, asking, repository, lock):
    """The BUILD file that stands for a package that the lock has not.

    Args:
        name: the package's name.
        asking: the BUILD file that names it.
        repository: what that file calls the repository.
        lock: what to call the lock.

    Returns:
        Its text. A build that needs the package fails, and says what to do.
    """
    return _UNLOCKED.format(name = repr(name), message = repr(
        ("{asking} names @{repository}//{name}, which {lock} has not. Write {name} in {wishes}, " +
         "with a reason, and lock it: `tools/bazel run //:requirements.update -- {name}`. " +
         "If the name is misspelt, correct it.").format(
            asking = asking,
            lock = lock,
            name = name,
            repository = repository,
            wishes = lock.removesuffix("_lock.txt") + ".in",
        ),
    ))
