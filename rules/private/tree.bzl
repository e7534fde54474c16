"""The rule that unpacks layers into a folder."""

load(":providers.bzl", "LayerInfo")

def _tree_impl(ctx):
    tree = ctx.actions.declare_directory(ctx.label.name)
    layers = [layer[LayerInfo].archive for layer in ctx.attr.layers]
    args = ctx.actions.args()
    args.add(tree.path)
    args.add_all(layers)
    ctx.actions.run(
        executable = ctx.executable._unpacker,
        arguments = [args],
        inputs = layers,
        outputs = [tree],
        mnemonic = "ImageTree",
        progress_message = "Unpacking %{label}",
    )
    return [DefaultInfo(files = depset([tree]))]

tree = rule(
    implementation = _tree_impl,
    doc = "Unpacks layers over each other into one folder, NAME, owned by whoever builds.",
    attrs = {
        "layers": attr.label_list(providers = [LayerInfo], mandatory = True, doc = "layers, lowest first"),
        "_unpacker": attr.label(default = "//rules/layers:unpacker", executable = True, cfg = "exec"),
    },
)
