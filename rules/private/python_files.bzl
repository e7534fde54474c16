"""Which files a Python target needs at run time, wheels' apart from this repository's own.

Apart, because they go into layers of their own, and a layer is written anew when an input changes.
"""

load("@rules_python//python:py_info.bzl", "PyInfo")
load(":recipe.bzl", "EXCLUSIONS", "PACKAGES")
load(":wheel_part.bzl", "WHEEL_ATTRS", "wheel_part")

PythonFilesInfo = provider(
    doc = "The files of a Python target and of all that it depends on.",
    fields = {
        "is_wheel": "whether the target itself stands for a wheel, with all of its files",
        "others": "depset of File: what other repositories have and is of no wheel; PyInfo.imports says where in them",
        "packages": "depset of struct, one for each wheel: name, version, hash (the archive's sha256, or " +
                    "what is known of its beginning), metadata (tuple of File: its .dist-info)",
        "sources": "depset of File: what lies in, or is made in, this repository",
        "wheels": "depset of WheelInfo, one for each wheel: packed as every service has it",
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

def _tag(tags, key):
    """The value of a tag KEY=VALUE; None where there is none."""
    for tag in tags:
        name, equals, value = tag.partition("=")
        if equals and name == key:
            return value
    return None

def _hash(label, tags):
    """What is known of the sha256 of a wheel's archive.

    The adapter of tools/debian says it in a tag. rules_python has its first digits in the name of
    the repository, unless pip fetched the wheel; then nothing is known here.
    """
    digits = label.repo_name.rpartition("_")[2]
    return _tag(tags, "pypi_sha256") or (digits if len(digits) == 8 and not digits.strip("0123456789abcdef") else "")

def _wheel(target, ctx, files):
    """What takes the time when a wheel goes into a layer, done once for all layers and services."""
    repository = ctx.label.repo_name
    return wheel_part(
        ctx,
        name = ctx.label.name,
        repository = repository,
        files = files,
        # Its own: an update of what it depends on leaves it alone.
        imports = tuple([
            folder
            for folder in target[PyInfo].imports.to_list()
            if folder.partition("/")[0] == repository
        ]),
        exclude = [ctx.file._exclusions],
        packages_path = PACKAGES,
        compile = [PACKAGES],
        strip = True,
    )

def _contains_wheel(ctx, dependencies):
    """Whether a target only adds to a wheel what that depends on, as rules_python's `pkg` does."""
    for dependency in dependencies:
        if dependency[PythonFilesInfo].is_wheel and dependency.label.repo_name == ctx.label.repo_name:
            return True
    return False

def _package(ctx, dependencies):
    """The wheel that a target stands for, in a list; none for any other target."""
    tags = getattr(ctx.rule.attr, "tags", [])
    name = _tag(tags, "pypi_name")
    if not ctx.label.repo_name or not name or _contains_wheel(ctx, dependencies):
        return []
    return [struct(
        hash = _hash(ctx.label, tags),
        metadata = tuple([file for file in getattr(ctx.rule.files, "data", []) if ".dist-info/" in file.path]),
        name = name,
        version = _tag(tags, "pypi_version"),
    )]

def _python_files_impl(target, ctx):
    dependencies = [
        dependency
        for name in ["data", "deps"]
        for dependency in _dependencies(ctx.rule, name)
        if PythonFilesInfo in dependency
    ]
    known = [dependency[PythonFilesInfo] for dependency in dependencies]
    package = _package(ctx, dependencies)

    # A wheel's byte-code is no input of layers, which make their own. Its files are its own target's.
    foreign = "byte-code" in getattr(ctx.rule.attr, "tags", []) or _contains_wheel(ctx, dependencies)
    own = [] if foreign else _direct(target, ctx.rule)
    others = []
    for dependency in dependencies:
        # Helpers in the wheel's repository are of the wheel.
        of_package = package and dependency.label.repo_name == ctx.label.repo_name
        (own if of_package else others).append(dependency[PythonFilesInfo].others)

    # The repository says whose files they are; the main one's name is empty.
    if ctx.label.repo_name and not package:
        others += own
    wheel = [_wheel(target, ctx, depset(transitive = own))] if package else []
    return [PythonFilesInfo(
        is_wheel = bool(package),
        others = depset(transitive = others),
        packages = depset(package, transitive = [each.packages for each in known]),
        sources = depset(transitive = [each.sources for each in known] + ([] if ctx.label.repo_name else own)),
        wheels = depset(wheel, transitive = [each.wheels for each in known]),
    )]

python_files = aspect(
    implementation = _python_files_impl,
    attr_aspects = ["data", "deps"],
    attrs = WHEEL_ATTRS | {
        "_exclusions": attr.label(default = EXCLUSIONS, allow_single_file = True),
    },
    doc = "Collects `PythonFilesInfo`. What a target makes of its `srcs` counts, not what it is made of.",
)
