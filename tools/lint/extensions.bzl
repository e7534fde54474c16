"""A repository that mirrors the workspace's Python, so that one test can take all of it as input.

A glob ends at the next package's BUILD file; a list of packages would be forgotten when one is
added. Bazel makes the repository anew when a folder of the workspace gains or loses an entry.
"""

_BUILD = """\
package(default_visibility = ["//visibility:public"])

exports_files(["pyproject.toml"])

filegroup(
    name = "python",
    srcs = glob(["**/*.py"]),
)
"""

_HIDDEN = [".ci"]
_OTHERS = ["__pycache__", "node_modules"]

# More levels than a repository has; Starlark knows no loop without an end.
_DEPTH = 64

def _ours(entry):
    name = entry.basename
    return (name in _HIDDEN or not name.startswith(".")) and name not in _OTHERS

def _workspace_python_impl(ctx):
    root = ctx.workspace_root
    ctx.file("BUILD.bazel", _BUILD)
    ctx.symlink(root.get_child("pyproject.toml"), "pyproject.toml")
    folders = [root]
    for _ in range(_DEPTH):
        deeper = []
        for folder in folders:
            for entry in folder.readdir(watch = "yes"):
                if not _ours(entry) or entry.realpath != entry:
                    continue
                if entry.is_dir:
                    # A virtual environment that a developer keeps in the workspace.
                    if not entry.get_child("pyvenv.cfg").exists:
                        deeper.append(entry)
                elif entry.basename.endswith(".py"):
                    ctx.symlink(entry, str(entry).removeprefix(str(root) + "/"))
        folders = deeper
        if not folders:
            return
    fail("{}: folders more than {} deep".format(root, _DEPTH))

_workspace_python = repository_rule(
    implementation = _workspace_python_impl,
    doc = "Links to every Python file of the workspace, under the paths they have there.",
    local = True,
)

def _lint_impl(_ctx):
    _workspace_python(name = "workspace_python")

lint = module_extension(implementation = _lint_impl)
