"""The rule that writes one image layer."""

load("@rules_python//python:py_info.bzl", "PyInfo")
load(":providers.bzl", "LayerInfo", "ServiceInfo")
load(":python_files.bzl", "PythonFilesInfo", "python_files")
load(":transitions.bzl", "TRANSITION_ATTRS", "image_platform")

def _runfile(file):
    # Byte-code beside wheels' sources has times and paths in it; the layer's is made anew.
    if file.extension == "pyc":
        return None
    return ["--runfile", file.short_path, file.path]

def _one_file(target, attribute):
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        fail("{}: {} expects targets of one file each, {} has {}".format(
            target.label,
            attribute,
            target.label,
            len(files),
        ))
    return files[0]

def _sources(ctx):
    """Depset of the repository's own files in the layer: those that no layer below it has."""
    sources = depset(transitive = [target[PythonFilesInfo].sources for target in ctx.attr.python])
    below = depset(transitive = [layer[LayerInfo].sources for layer in ctx.attr.below])
    if not ctx.attr.below:
        return sources

    # Read here, not when the layer is written: so a change of those files leaves this layer alone.
    taken = {file: None for file in below.to_list()}
    return depset([file for file in sources.to_list() if file not in taken])

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
    for attribute, option in [("files", "--file"), ("executables", "--executable")]:
        for target, path in getattr(ctx.attr, attribute).items():
            args.add_all([option, path, _one_file(target, attribute)])
    args.add_all(ctx.files.exclude, before_each = "--exclude")
    args.add_all(ctx.attr.compile, before_each = "--compile")

    packages = []
    prepared = depset()
    sources = depset()
    wheels = depset()
    if ctx.attr.sources_path:
        args.add("--sources-path", ctx.attr.sources_path)
        args.add_all(ctx.attr.modules, before_each = "--module")
        sources = _sources(ctx)
    if ctx.attr.packages_path:
        args.add("--packages-path", ctx.attr.packages_path)
        args.add_all(
            depset(transitive = [target[PyInfo].imports for target in ctx.attr.python]),
            before_each = "--import-root",
        )
        packages += [target[PythonFilesInfo].packages for target in ctx.attr.python]
        wheels = depset(transitive = [target[PythonFilesInfo].wheels for target in ctx.attr.python])
        prepared = depset(transitive = [target[PythonFilesInfo].prepared for target in ctx.attr.python])
        args.add_all(prepared, before_each = "--prepared")
        if ctx.attr.strip:
            args.add("--strip")
    runfiles = depset(transitive = [sources, wheels])
    args.add_all(runfiles, map_each = _runfile)

    ctx.actions.run(
        executable = ctx.executable._writer,
        arguments = [args],
        inputs = depset(
            ctx.files.debs + ctx.files.files + ctx.files.executables + ctx.files.exclude,
            transitive = [prepared, runfiles],
        ),
        outputs = [layer, descriptor, contents],
        mnemonic = "ImageLayer",
        progress_message = "Writing layer %{label}",
        env = {"PYTHONHASHSEED": "0"},
    )
    return [
        DefaultInfo(files = depset([layer])),
        LayerInfo(
            archive = layer,
            contents = contents,
            debs = depset(ctx.files.debs),
            descriptor = descriptor,
            sources = sources,
            wheels = depset(transitive = packages),
        ),
        # rules_oci, in another repository, cannot load LayerInfo: its adapter looks for this group,
        # and the real one takes the archive alone.
        OutputGroupInfo(oci_descriptor = depset([descriptor])),
    ]

layer = rule(
    implementation = _layer_impl,
    doc = "Writes one image layer, NAME.tar.gz, whose bytes depend on nothing but what it holds.",
    cfg = image_platform,
    attrs = TRANSITION_ATTRS | {
        "below": attr.label_list(providers = [LayerInfo], doc = "layers below this one in the image: files of the repository that they have stay out"),
        "compile": attr.string_list(doc = "folders whose Python sources get .pyc files beside them"),
        "debs": attr.label_list(allow_files = [".deb"], doc = "Debian packages to install: `@debian//NAME`, or `@debian//groups:GROUP`"),
        "directories": attr.string_list(doc = "empty folders to make, for mounts"),
        "exclude": attr.label_list(allow_files = [".toml"], doc = "what to leave out, and why: TOML tables `exclude` and `keep` of globs and reasons"),
        "executables": attr.label_keyed_string_dict(allow_files = True, doc = "like `files`, for programs"),
        "files": attr.label_keyed_string_dict(allow_files = True, doc = "single files, and the paths they get"),
        "join": attr.string_dict(doc = "paths, and globs of the files (in the layer) that are joined there"),
        "modules": attr.string_list(doc = "modules that `python -m` has to find among the files below `sources_path`"),
        "packages_path": attr.string(doc = "folder that the wheels of `python` are installed to; they stay out without it"),
        "python": attr.label_list(aspects = [python_files], providers = [PyInfo], doc = "py_library targets, taken with all they depend on"),
        "service": attr.label(providers = [ServiceInfo], doc = "the service it belongs to: where its definition is wrong, there is no layer"),
        "sources_path": attr.string(doc = "folder that the repository's own files of `python` are installed to; they stay out without it"),
        "strip": attr.bool(default = True, doc = "whether wheels' ELF files lose symbol tables and debug information"),
        "symlinks": attr.string_dict(doc = "links to make: path and target"),
        "_writer": attr.label(default = "//rules/layers:writer", executable = True, cfg = "exec"),
    },
)
