"""The rule that unpacks layers, or Debian packages, into a folder."""

load(":providers.bzl", "LayerInfo")

def _tree_impl(ctx):
    tree = ctx.actions.declare_directory(ctx.label.name)
    layers = [layer[LayerInfo].archive for layer in ctx.attr.layers]
    args = ctx.actions.args()
    args.add_all([tree], expand_directories = False)
    args.add_all(ctx.attr.keep, before_each = "--keep")
    args.add_all(ctx.files.debs, before_each = "--deb")
    args.add_all(layers, before_each = "--layer")
    ctx.actions.run(
        executable = ctx.executable._unpacker,
        arguments = [args],
        inputs = ctx.files.debs + layers,
        outputs = [tree],
        mnemonic = "ImageTree",
        progress_message = "Unpacking %{label}",
    )
    return [DefaultInfo(files = depset([tree]))]

tree = rule(
    implementation = _tree_impl,
    doc = "Unpacks layers over each other into one folder, NAME, owned by whoever builds.",
    attrs = {
        "debs": attr.label_list(allow_files = [".deb"], doc = "Debian packages, unpacked before the layers"),
        "keep": attr.string_list(doc = "globs of what to take of the packages; all of them without any"),
        "layers": attr.label_list(providers = [LayerInfo], doc = "layers, lowest first"),
        "_unpacker": attr.label(default = "//rules/layers:unpacker", executable = True, cfg = "exec"),
    },
)
