"""Which files a Python target needs at run time, wheels' apart from this repository's own.

Apart, because they go into layers of their own, and a layer is written anew when an input changes.
"""

load("@rules_python//python:py_info.bzl", "PyInfo")

PythonFilesInfo = provider(
    doc = "The files of a Python target and of all that it depends on.",
    fields = {
        "sources": "depset of File: what lies in, or is made in, this repository",
        "wheels": "depset of File: what other repositories have; PyInfo.imports says where in them",
    },
)

def _dependencies(rule, name):
    value = getattr(rule.attr, name, None) or []
    return value if type(value) == "list" else [value]

def _direct(target, rule):
    """Depsets of the target's own files: not those of targets that have `PythonFilesInfo`."""
    if PyInfo not in target:
        return [target[DefaultInfo].files, target[DefaultInfo].default_runfiles.files]
    return [depset(getattr(rule.files, "srcs", []))] + [
        data[DefaultInfo].files
        for data in _dependencies(rule, "data")
        if PythonFilesInfo not in data
    ]

def _python_files_impl(target, ctx):
    dependencies = [
        dependency[PythonFilesInfo]
        for name in ["data", "deps"]
        for dependency in _dependencies(ctx.rule, name)
        if PythonFilesInfo in dependency
    ]
    sources = [dependency.sources for dependency in dependencies]
    wheels = [dependency.wheels for dependency in dependencies]

    # The repository says whose files they are; the main one's name is empty.
    own = _direct(target, ctx.rule)
    if ctx.label.repo_name:
        wheels += own
    else:
        sources += own
    return [PythonFilesInfo(sources = depset(transitive = sources), wheels = depset(transitive = wheels))]

python_files = aspect(
    implementation = _python_files_impl,
    attr_aspects = ["data", "deps"],
    doc = "Collects `PythonFilesInfo`. What a target makes of its `srcs` counts, not what it is made of.",
)
