"""Which files a Python target needs at run time, wheels' apart from this repository's own.

Apart, because they go into layers of their own, and a layer is written anew when an input changes.
"""

load("@rules_python//python:py_info.bzl", "PyInfo")
load(":recipe.bzl", "PACKAGES")

PythonFilesInfo = provider(
    doc = "The files of a Python target and of all that it depends on.",
    fields = {
        "packages": "depset of struct, one for each wheel: name, version, hash (the archive's sha256, or " +
                    "what is known of its beginning), metadata (tuple of File: its .dist-info)",
        "prepared": "depset of File, one for each wheel: what rules/layers/wheel.py made of it for layers",
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

def _runfile(file):
    return ["--runfile", file.short_path, file.path]

def _prepared(target, ctx, files):
    """What takes the time when a wheel goes into a layer, done once for all layers and services."""
    arm64 = ctx.attr._arm64[platform_common.ConstraintValueInfo]
    output = ctx.actions.declare_file(ctx.label.name + ".prepared")
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    args.add("--output", output)
    args.add("--packages-path", PACKAGES)
    args.add("--architecture", "arm64" if ctx.target_platform_has_constraint(arm64) else "amd64")
    args.add_all("--strip", ctx.files._strip, expand_directories = False)
    args.add_all(target[PyInfo].imports, before_each = "--import-root")
    args.add_all(files, map_each = _runfile)
    ctx.actions.run(
        executable = ctx.executable._preparer,
        arguments = [args],
        inputs = depset(ctx.files._strip, transitive = [files]),
        outputs = [output],
        mnemonic = "ImageWheel",
        progress_message = "Preparing %{label} for layers",
        env = {"PYTHONHASHSEED": "0"},
    )
    return output

def _package(ctx):
    """The wheel that a target stands for, in a list; none for any other target."""
    tags = getattr(ctx.rule.attr, "tags", [])
    name = _tag(tags, "pypi_name")
    if not ctx.label.repo_name or not name:
        return []
    return [struct(
        hash = _hash(ctx.label, tags),
        metadata = tuple([file for file in getattr(ctx.rule.files, "data", []) if ".dist-info/" in file.path]),
        name = name,
        version = _tag(tags, "pypi_version"),
    )]

def _python_files_impl(target, ctx):
    dependencies = [
        dependency[PythonFilesInfo]
        for name in ["data", "deps"]
        for dependency in _dependencies(ctx.rule, name)
        if PythonFilesInfo in dependency
    ]
    sources = [dependency.sources for dependency in dependencies]
    wheels = [dependency.wheels for dependency in dependencies]
    packages = [dependency.packages for dependency in dependencies]

    # The repository says whose files they are; the main one's name is empty. A wheel's byte-code is
    # no input of layers, which make their own.
    own = [] if "byte-code" in getattr(ctx.rule.attr, "tags", []) else _direct(target, ctx.rule)
    if ctx.label.repo_name:
        wheels += own
    else:
        sources += own
    package = _package(ctx)
    prepared = [_prepared(target, ctx, depset(transitive = own))] if package else []
    return [PythonFilesInfo(
        packages = depset(package, transitive = packages),
        prepared = depset(prepared, transitive = [dependency.prepared for dependency in dependencies]),
        sources = depset(transitive = sources),
        wheels = depset(transitive = wheels),
    )]

python_files = aspect(
    implementation = _python_files_impl,
    attr_aspects = ["data", "deps"],
    attrs = {
        "_arm64": attr.label(
            default = "@platforms//cpu:aarch64",
            providers = [platform_common.ConstraintValueInfo],
        ),
        "_preparer": attr.label(default = "//rules/layers:wheel", executable = True, cfg = "exec"),
        "_strip": attr.label(default = "//rules/strip", cfg = "exec"),
    },
    doc = "Collects `PythonFilesInfo`. What a target makes of its `srcs` counts, not what it is made of.",
)
