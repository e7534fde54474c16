"""The rule that unpacks layers into a folder."""

def _tree_impl(ctx):
    tree = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add(tree.path)
    args.add_all(ctx.files.layers)
    ctx.actions.run(
        executable = ctx.executable._unpacker,
        arguments = [args],
        inputs = ctx.files.layers,
        outputs = [tree],
        mnemonic = "ImageTree",
        progress_message = "Unpacking %{label}",
    )
    return [DefaultInfo(files = depset([tree]))]

tree = rule(
    implementation = _tree_impl,
    doc = "Unpacks layers over each other into one folder, NAME, owned by whoever builds.",
    attrs = {
        "layers": attr.label_list(allow_files = [".tar.gz"], mandatory = True, doc = "layers, lowest first"),
        "_unpacker": attr.label(default = "//rules/layers:unpacker", executable = True, cfg = "exec"),
    },
)
