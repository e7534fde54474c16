"""The rule that writes one image layer."""

load("@rules_python//python:py_info.bzl", "PyInfo")
load(":providers.bzl", "LayerInfo", "ServiceInfo")
load(":python_files.bzl", "PythonFilesInfo", "python_files")
load(":recipe.bzl", "EXCLUSIONS", "PACKAGES")
load(":transitions.bzl", "TRANSITION_ATTRS", "image_platform")
load(":wheel_part.bzl", "WHEEL_ATTRS", "WORKER", "runfile", "wheel_part")

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

def _compiled(folders, packages_path):
    """Which of the folders say something of wheels; the wheels' own where that lies in one of them."""
    for folder in folders:
        if (packages_path + "/").startswith(folder.rstrip("/") + "/"):
            return [packages_path]
    return [folder for folder in folders if folder.startswith(packages_path + "/")]

def _wheels(ctx):
    """WheelInfo of each wheel in the layer, packed as the layer asks for it."""
    wheels = depset(transitive = [target[PythonFilesInfo].wheels for target in ctx.attr.python]).to_list()
    asked = struct(
        compile = _compiled(ctx.attr.compile, ctx.attr.packages_path),
        exclude = ctx.files.exclude,
        packages_path = ctx.attr.packages_path,
        strip = ctx.attr.strip,
    )
    if asked == struct(compile = [PACKAGES], exclude = [ctx.file._exclusions], packages_path = PACKAGES, strip = True):
        return wheels
    return [
        wheel_part(
            ctx,
            name = "{}.wheels/{}".format(ctx.label.name, wheel.repository),
            repository = wheel.repository,
            files = wheel.files,
            imports = wheel.imports,
            exclude = asked.exclude,
            packages_path = asked.packages_path,
            compile = asked.compile,
            strip = asked.strip,
        )
        for wheel in wheels
    ]

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

    others = depset()
    packages = []
    parts = []
    sources = depset()
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
        others = depset(transitive = [target[PythonFilesInfo].others for target in ctx.attr.python])
        packages = [target[PythonFilesInfo].packages for target in ctx.attr.python]
        for wheel in _wheels(ctx):
            args.add_all("--part", [wheel.packed, wheel.contents])
            parts += [wheel.packed, wheel.contents]
    runfiles = depset(transitive = [sources, others])
    args.add_all(runfiles, map_each = runfile)

    ctx.actions.run(
        executable = ctx.executable._writer,
        arguments = [args],
        inputs = depset(
            ctx.files.debs + ctx.files.files + ctx.files.executables + ctx.files.exclude + parts,
            transitive = [runfiles],
        ),
        outputs = [layer, descriptor, contents],
        mnemonic = "ImageLayer",
        progress_message = "Writing layer %{label}",
        env = {"PYTHONHASHSEED": "0"},
        execution_requirements = WORKER,
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
    attrs = TRANSITION_ATTRS | WHEEL_ATTRS | {
        "below": attr.label_list(providers = [LayerInfo], doc = "layers below this one in the image: files of the repository that they have stay out"),
        "compile": attr.string_list(doc = "folders whose Python sources get .pyc files beside them"),
        "debs": attr.label_list(allow_files = [".deb"], doc = "Debian packages to install: `@debian//NAME`, or `@debian//groups:GROUP`"),
        "directories": attr.string_list(doc = "empty folders to make, for mounts"),
        "exclude": attr.label_list(allow_files = [".toml"], doc = "what to leave out, and why: TOML tables `exclude` and `keep` of globs and reasons"),
        "executables": attr.label_keyed_string_dict(allow_files = True, doc = "like `files`, for programs"),
        "files": attr.label_keyed_string_dict(allow_files = True, doc = "single files, and the paths they get"),
        "join": attr.string_dict(doc = "paths, and globs of the files (in the layer, and of no wheel) that are joined there"),
        "modules": attr.string_list(doc = "modules that `python -m` has to find among the files below `sources_path`"),
        "packages_path": attr.string(doc = "folder that the wheels of `python` are installed to; they stay out without it"),
        "python": attr.label_list(aspects = [python_files], providers = [PyInfo], doc = "py_library targets, taken with all they depend on"),
        "service": attr.label(providers = [ServiceInfo], doc = "the service it belongs to: where its definition is wrong, there is no layer"),
        "sources_path": attr.string(doc = "folder that the repository's own files of `python` are installed to; they stay out without it"),
        "strip": attr.bool(default = True, doc = "whether wheels' ELF files lose symbol tables and debug information"),
        "symlinks": attr.string_dict(doc = "links to make: path and target"),
        "_exclusions": attr.label(default = EXCLUSIONS, allow_single_file = True),
        "_writer": attr.label(default = "//rules/layers:writer", executable = True, cfg = "exec"),
    },
)
