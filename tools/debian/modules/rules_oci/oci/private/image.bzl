"""The rule behind `oci_image`."""

_ARCHIVES = [
    ".tar",
    ".tar.gz",
    ".tar.zst",
    ".tgz",
    ".tzst",
]

_FILES = [
    "created",
    "entrypoint",
    "cmd",
    "exposed_ports",
    "volumes",
    "env",
    "labels",
    "annotations",
]

def _described(ctx, index, archive):
    """The descriptor of an archive that comes without one."""
    descriptor = ctx.actions.declare_file("{}.{}.descriptor.json".format(ctx.label.name, index))
    args = ctx.actions.args()
    args.add(archive)
    args.add(descriptor)
    args.add(archive.owner)
    args.add(ctx.executable._zstd)
    ctx.actions.run(
        executable = ctx.executable._descriptor,
        arguments = [args],
        inputs = [archive],
        outputs = [descriptor],
        tools = [ctx.executable._zstd],
        mnemonic = "OCIDescriptor",
        progress_message = "Describing layer %{input}",
    )
    return descriptor

def _layers(ctx):
    """Pairs of archive and descriptor, in order."""
    layers = []
    for target in ctx.attr.tars:
        archives = target[DefaultInfo].files.to_list()
        known = []
        if OutputGroupInfo in target and hasattr(target[OutputGroupInfo], "oci_descriptor"):
            known = target[OutputGroupInfo].oci_descriptor.to_list()
            if len(known) != len(archives):
                fail("{} has {} archives and {} descriptors in its output group oci_descriptor; expected one each".format(
                    target.label,
                    len(archives),
                    len(known),
                ))
        for position, archive in enumerate(archives):
            layers.append((
                archive,
                known[position] if known else _described(ctx, len(layers), archive),
            ))
    return layers

def _oci_image_impl(ctx):
    if ctx.attr.base:
        if ctx.attr.os or ctx.attr.architecture or ctx.attr.variant:
            fail("os, architecture and variant are those of the base, {}: leave them out".format(ctx.attr.base.label))
    elif not ctx.attr.os or not ctx.attr.architecture:
        fail("an image without a base needs os and architecture, such as linux and amd64")

    output = ctx.actions.declare_directory(ctx.label.name)
    inputs = []
    args = ctx.actions.args()
    args.add("image")
    args.add(output.path, format = "--output=%s")
    args.add(ctx.outputs.digest, format = "--digest-file=%s")
    if ctx.attr.base:
        args.add(ctx.file.base.path, format = "--base=%s")
        inputs.append(ctx.file.base)
    else:
        platform = {"os": ctx.attr.os, "architecture": ctx.attr.architecture}
        if ctx.attr.variant:
            platform["variant"] = ctx.attr.variant
        args.add(json.encode(platform), format = "--platform=%s")
    for archive, descriptor in _layers(ctx):
        args.add("--layer")
        args.add(archive)
        args.add(descriptor)
        args.add(archive.owner)
        inputs += [archive, descriptor]
    for name in _FILES:
        file = getattr(ctx.file, name)
        if file:
            args.add(file, format = "--{}=%s".format(name.replace("_", "-")))
            inputs.append(file)
    for name in ["user", "workdir"]:
        value = getattr(ctx.attr, name)
        if value:
            args.add(value, format = "--{}=%s".format(name))

    ctx.actions.run(
        executable = ctx.executable._layout,
        arguments = [args],
        inputs = inputs,
        outputs = [output, ctx.outputs.digest],
        mnemonic = "OCIImage",
        progress_message = "Writing image %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

oci_image = rule(
    implementation = _oci_image_impl,
    doc = "Writes an OCI image layout. BUILD files use the macro of the same name.",
    attrs = {
        "base": attr.label(
            allow_single_file = True,
            doc = "The image (an OCI layout of one platform) whose layers and settings come first.",
        ),
        "tars": attr.label_list(
            allow_files = _ARCHIVES,
            doc = "Archives to add as layers, in this order. Their first bytes tell the " +
                  "compression. A target whose output group oci_descriptor holds a JSON file with " +
                  "digest, diffid, size and compression for each archive spares reading them.",
        ),
        "created": attr.label(
            allow_single_file = True,
            doc = "A file that holds the image's time of creation (RFC 3339).",
        ),
        "entrypoint": attr.label(
            allow_single_file = True,
            doc = "A file with the program and its first arguments, one a line. Clears the base's cmd.",
        ),
        "cmd": attr.label(
            allow_single_file = True,
            doc = "A file with the arguments that a container's own replace, one a line.",
        ),
        "env": attr.label(
            allow_single_file = True,
            doc = "A file of KEY=VALUE lines, laid over the base's. $KEY and ${KEY} stand for the " +
                  "value so far.",
        ),
        "user": attr.string(doc = "Who the process runs as: user, uid, user:group or uid:gid."),
        "workdir": attr.string(doc = "The folder that the process starts in."),
        "exposed_ports": attr.label(
            allow_single_file = True,
            doc = "A file of ports (8000/tcp, 53/udp) separated by commas.",
        ),
        "volumes": attr.label(
            allow_single_file = True,
            doc = "A file of folders meant for volumes, separated by commas.",
        ),
        "os": attr.string(doc = "Operating system in Go's terms: linux. Only without a base."),
        "architecture": attr.string(doc = "CPU in Go's terms: amd64, arm64. Only without a base."),
        "variant": attr.string(doc = "Variant of the CPU: v8. Only without a base."),
        "labels": attr.label(
            allow_single_file = True,
            doc = "A file of KEY=VALUE lines for the config's labels.",
        ),
        "annotations": attr.label(
            allow_single_file = True,
            doc = "A file of KEY=VALUE lines for the manifest's annotations.",
        ),
        "digest": attr.output(
            mandatory = True,
            doc = "The file that receives the manifest's digest.",
        ),
        "_descriptor": attr.label(
            default = ":descriptor",
            cfg = "exec",
            executable = True,
        ),
        "_layout": attr.label(
            default = ":layout",
            cfg = "exec",
            executable = True,
        ),
        "_zstd": attr.label(
            default = "@oci_system_tools//:zstd",
            allow_single_file = True,
            cfg = "exec",
            executable = True,
        ),
    },
)
