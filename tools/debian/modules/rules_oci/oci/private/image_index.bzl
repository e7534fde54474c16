"""The rule behind `oci_image_index`."""

def _platforms_impl(_settings, attr):
    return [{"//command_line_option:platforms": str(platform)} for platform in attr.platforms]

_platforms = transition(
    implementation = _platforms_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _oci_image_index_impl(ctx):
    if ctx.attr.platforms and len(ctx.attr.images) != len(ctx.attr.platforms):
        fail("platforms build one image several times: name one image, got {}".format(
            len(ctx.attr.images) // len(ctx.attr.platforms),
        ))
    output = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("index")
    args.add(output.path, format = "--output=%s")
    args.add(ctx.outputs.digest, format = "--digest-file=%s")
    args.add_all(ctx.files.images, format_each = "--image=%s", expand_directories = False)
    inputs = list(ctx.files.images)
    if ctx.file.annotations:
        args.add(ctx.file.annotations, format = "--annotations=%s")
        inputs.append(ctx.file.annotations)
    ctx.actions.run(
        executable = ctx.executable._layout,
        arguments = [args],
        inputs = inputs,
        outputs = [output, ctx.outputs.digest],
        mnemonic = "OCIIndex",
        progress_message = "Writing image index %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

oci_image_index = rule(
    implementation = _oci_image_index_impl,
    doc = "Writes an OCI layout that holds an index of images. BUILD files use the macro of the same name.",
    attrs = {
        "images": attr.label_list(
            mandatory = True,
            cfg = _platforms,
            doc = "The images (oci_image targets), in this order.",
        ),
        "platforms": attr.label_list(
            providers = [platform_common.PlatformInfo],
            doc = "Platforms to build the one image for.",
        ),
        "annotations": attr.label(
            allow_single_file = True,
            doc = "A file of KEY=VALUE lines for the index's annotations.",
        ),
        "digest": attr.output(
            mandatory = True,
            doc = "The file that receives the index's digest.",
        ),
        "_layout": attr.label(
            default = ":layout",
            cfg = "exec",
            executable = True,
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
