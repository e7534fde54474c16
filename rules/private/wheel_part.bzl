"""A wheel's part of a layer, made by an action of its own."""

WheelInfo = provider(
    doc = "A wheel, as what packs it has to know it.",
    fields = {
        "contents": "File: JSON lines as of `LayerInfo.contents`, of the wheel's entries alone",
        "files": "depset of File: what the wheel's repository has",
        "imports": "tuple of string: folders that Python imports from, as in PyInfo",
        "packed": "File: the entries of an archive as one gzip member, without the archive's end",
        "repository": "string: the name of the wheel's repository",
    },
)

# The program may stay for the next action: rules/layers/worker.py.
WORKER = {
    "requires-worker-protocol": "json",
    "supports-workers": "1",
}

# What a rule or an aspect needs to call `wheel_part`.
WHEEL_ATTRS = {
    "_arm64": attr.label(
        default = "@platforms//cpu:aarch64",
        providers = [platform_common.ConstraintValueInfo],
    ),
    "_strip": attr.label(default = "//rules/strip", cfg = "exec"),
    "_wheel": attr.label(default = "//rules/layers:wheel", executable = True, cfg = "exec"),
}

def runfile(file):
    """Arguments that name a file and its place at run time; None for byte-code."""

    # What lies beside sources of other repositories has times and paths in it; it is made anew.
    if file.extension == "pyc":
        return None
    return ["--runfile", file.short_path, file.path]

def wheel_part(ctx, name, repository, files, imports, exclude, packages_path, compile, strip):
    """Declares the action.

    Args:
      ctx: of a rule or aspect that has WHEEL_ATTRS.
      name: of the two files that are made, without their suffixes.
      repository: name of the wheel's repository.
      files: depset of File: what that has.
      imports: tuple of string: folders that Python imports from, as in PyInfo.
      exclude: list of File: what to leave out.
      packages_path: folder of wheels in the image.
      compile: folders whose Python sources get byte-code.
      strip: whether ELF files lose what no process sees.

    Returns:
      WheelInfo.
    """
    arm64 = ctx.attr._arm64[platform_common.ConstraintValueInfo]
    packed = ctx.actions.declare_file(name + ".part.gz")
    contents = ctx.actions.declare_file(name + ".part.jsonl")
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    args.add("--packed", packed)
    args.add("--contents", contents)
    args.add("--packages-path", packages_path)
    args.add("--architecture", "arm64" if ctx.target_platform_has_constraint(arm64) else "amd64")
    args.add_all(exclude, before_each = "--exclude")
    args.add_all(imports, before_each = "--import-root")
    args.add_all(compile, before_each = "--compile")
    if strip:
        args.add_all("--strip", ctx.files._strip, expand_directories = False)
    args.add_all(files, map_each = runfile)
    ctx.actions.run(
        executable = ctx.executable._wheel,
        arguments = [args],
        inputs = depset(exclude + (ctx.files._strip if strip else []), transitive = [files]),
        outputs = [packed, contents],
        mnemonic = "ImageWheel",
        progress_message = "Packing wheel %{label}",
        env = {"PYTHONHASHSEED": "0"},
        execution_requirements = WORKER,
    )
    return WheelInfo(
        contents = contents,
        files = files,
        imports = imports,
        packed = packed,
        repository = repository,
    )
