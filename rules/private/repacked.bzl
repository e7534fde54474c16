"""A layer that is packed otherwise than its rule packs it."""

load(":providers.bzl", "LayerInfo")
load(":transitions.bzl", "TRANSITION_ATTRS", "image_platform")

def _repacked_impl(ctx):
    known = ctx.attr.layer[LayerInfo]
    archive = ctx.actions.declare_file(ctx.label.name + ".tar.zst")
    descriptor = ctx.actions.declare_file(ctx.label.name + ".descriptor.json")
    args = ctx.actions.args()
    args.add("--layer", known.archive)
    args.add("--known", known.descriptor)
    args.add("--output", archive)
    args.add("--descriptor", descriptor)
    ctx.actions.run(
        executable = ctx.executable._program,
        arguments = [args],
        inputs = [known.archive, known.descriptor],
        outputs = [archive, descriptor],
        mnemonic = "ImageRepack",
        progress_message = "Packing layer %{label}",
        env = {"PYTHONHASHSEED": "0"},
    )
    return [
        DefaultInfo(files = depset([archive])),
        LayerInfo(
            archive = archive,
            contents = known.contents,
            debs = known.debs,
            descriptor = descriptor,
            sources = known.sources,
            wheels = known.wheels,
        ),
        # As of `layer`.
        OutputGroupInfo(oci_descriptor = depset([descriptor])),
    ]

repacked = rule(
    implementation = _repacked_impl,
    doc = "Writes a layer as NAME.tar.zst: the same archive, with the same diff ID.",
    cfg = image_platform,
    attrs = TRANSITION_ATTRS | {
        "layer": attr.label(mandatory = True, providers = [LayerInfo], doc = "the layer"),
        "_program": attr.label(default = "//rules/layers:repack", executable = True, cfg = "exec"),
    },
)
