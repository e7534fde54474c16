"""The rule that writes one image layer."""

_SITE_PACKAGES = "/site-packages/"

_PLATFORMS = [Label("//image:linux_amd64"), Label("//image:linux_arm64")]

def _platform_transition_impl(settings, _attr):
    # An image is for linux/amd64 wherever it is built, unless one of these is asked for.
    requested = settings["//command_line_option:platforms"]
    if len(requested) == 1 and requested[0] in _PLATFORMS:
        return {"//command_line_option:platforms": [str(requested[0])]}
    return {"//command_line_option:platforms": [str(_PLATFORMS[0])]}

_platform_transition = transition(
    implementation = _platform_transition_impl,
    inputs = ["//command_line_option:platforms"],
    outputs = ["//command_line_option:platforms"],
)

def _placed(targets, packages_path, sources_path):
    """Where the files of Python targets go.

    Args:
      targets: targets of py_library or py_binary.
      packages_path: folder for the files of wheels, or "" to leave them out.
      sources_path: folder for this repository's own files, or "" to leave them out.

    Returns:
      A list of (path in the image, File).
    """
    placed = []
    for file in depset(transitive = [target[DefaultInfo].default_runfiles.files for target in targets]).to_list():
        if file.extension == "pyc":
            continue
        _, third_party, path = file.path.partition(_SITE_PACKAGES)
        if third_party:
            if packages_path:
                placed.append((packages_path + "/" + path, file))
        elif sources_path and not file.short_path.startswith("../") and file.is_source:
            # A py_binary's launcher and the interpreter's own files are not the application's.
            placed.append((sources_path + "/" + file.short_path, file))
    return placed

def _layer_impl(ctx):
    layer = ctx.actions.declare_file(ctx.label.name + ".tar.gz")
    descriptor = ctx.actions.declare_file(ctx.label.name + ".descriptor.json")
    contents = ctx.actions.declare_file(ctx.label.name + ".contents.jsonl")

    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    args.add("--layer", layer)
    args.add("--descriptor", descriptor)
    args.add("--contents", contents)
    args.add("--origin", ctx.label)
    args.add_all(ctx.files.debs, before_each = "--deb")
    for path, target in sorted(ctx.attr.symlinks.items()):
        args.add_all(["--symlink", path, target])
    for path, glob in sorted(ctx.attr.join.items()):
        args.add_all(["--join", path, glob])
    args.add_all(ctx.attr.directories, before_each = "--directory")
    for target, path in ctx.attr.files.items():
        args.add("--file").add(path).add(target[DefaultInfo].files.to_list()[0])
    for target, path in ctx.attr.executables.items():
        args.add("--executable").add(path).add(target[DefaultInfo].files.to_list()[0])
    args.add_all(ctx.files.exclude, before_each = "--exclude")
    args.add_all(ctx.attr.compile, before_each = "--compile")

    placed = _placed(ctx.attr.python, ctx.attr.packages_path, ctx.attr.sources_path)
    for path, file in placed:
        args.add("--file").add(path).add(file)

    ctx.actions.run(
        executable = ctx.executable._writer,
        arguments = [args],
        inputs = ctx.files.debs + ctx.files.files + ctx.files.executables + ctx.files.exclude + [file for _, file in placed],
        outputs = [layer, descriptor, contents],
        mnemonic = "ImageLayer",
        progress_message = "Writing layer %{label}",
        env = {"PYTHONHASHSEED": "0"},
    )
    return [
        DefaultInfo(files = depset([layer])),
        OutputGroupInfo(
            contents = depset([contents]),
            oci_descriptor = depset([descriptor]),
        ),
    ]

layer = rule(
    implementation = _layer_impl,
    doc = "Writes one image layer, NAME.tar.gz, whose bytes depend on nothing but what it holds.",
    cfg = _platform_transition,
    attrs = {
        "compile": attr.string_list(doc = "folders whose Python sources get .pyc files beside them"),
        "debs": attr.label_list(allow_files = [".deb"], doc = "Debian packages to install"),
        "directories": attr.string_list(doc = "empty folders to make, for mounts"),
        "exclude": attr.label_list(allow_files = [".toml"], doc = "what to leave out, and why: TOML tables `exclude` and `keep` of globs and reasons"),
        "executables": attr.label_keyed_string_dict(allow_files = True, doc = "like `files`, for programs"),
        "files": attr.label_keyed_string_dict(allow_files = True, doc = "single files, and the paths they get"),
        "join": attr.string_dict(doc = "paths, and globs of the files (in the layer) that are joined there"),
        "packages_path": attr.string(doc = "folder that the wheels of `python` are installed to; they stay out without it"),
        "python": attr.label_list(doc = "py_library targets, taken with all they depend on"),
        "sources_path": attr.string(doc = "folder that the repository's own files of `python` are installed to; they stay out without it"),
        "symlinks": attr.string_dict(doc = "links to make: path and target"),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
        "_writer": attr.label(default = "//rules/layers:writer", executable = True, cfg = "exec"),
    },
)
