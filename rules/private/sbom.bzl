"""The rule that describes an image of one platform."""

load(":providers.bzl", "LayerInfo", "ServiceInfo")
load(":recipe.bzl", "PYTHON")
load(":transitions.bzl", "TRANSITION_ATTRS", "named_platform")

def _sbom_impl(ctx):
    outputs = {"cyclonedx": ctx.outputs.cyclonedx, "spdx": ctx.outputs.spdx}
    layers = [layer[LayerInfo] for layer in ctx.attr.layers]
    debs = depset(transitive = [layer.debs for layer in layers])
    wheels = depset(transitive = [layer.wheels for layer in layers]).to_list()
    image = ctx.attr.image[0][DefaultInfo].files
    definition = ctx.attr.service[ServiceInfo].definition

    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    args.add_all(image, before_each = "--image", expand_directories = False)
    args.add("--service", definition)
    args.add("--python", PYTHON)
    args.add("--lock", ctx.file._lock)
    for layer in layers:
        args.add_all(["--layer", layer.archive, layer.contents])
    args.add_all(debs, before_each = "--deb")
    for wheel in wheels:
        # An empty line would be read as no argument at all.
        args.add_all(["--wheel", wheel.name, wheel.version, wheel.hash or "-"])
        for file in wheel.metadata:
            args.add_all(["--metadata", wheel.name, file])
    for name, output in outputs.items():
        args.add("--" + name, output)

    ctx.actions.run(
        executable = ctx.executable._program,
        arguments = [args],
        inputs = depset(
            [definition, ctx.file._lock] +
            [file for layer in layers for file in [layer.archive, layer.contents]] +
            [file for wheel in wheels for file in wheel.metadata],
            transitive = [debs, image],
        ),
        outputs = outputs.values(),
        mnemonic = "ImageSbom",
        progress_message = "Describing what is in %{label}",
        env = {"PYTHONHASHSEED": "0"},
    )
    return [
        DefaultInfo(files = depset(outputs.values())),
        OutputGroupInfo(**{name: depset([output]) for name, output in outputs.items()}),
    ]

sbom = rule(
    implementation = _sbom_impl,
    doc = "Describes the image of one platform in two formats.",
    attrs = TRANSITION_ATTRS | {
        "cyclonedx": attr.output(mandatory = True, doc = "the file of CycloneDX 1.6, JSON"),
        "image": attr.label(cfg = named_platform, mandatory = True, doc = "an oci_image"),
        "layers": attr.label_list(cfg = named_platform, mandatory = True, providers = [LayerInfo], doc = "its layers, lowest first"),
        "platform": attr.label(mandatory = True, doc = "a platform, such as //image:linux_arm64"),
        "service": attr.label(mandatory = True, providers = [ServiceInfo], doc = "the service it is of"),
        "spdx": attr.output(mandatory = True, doc = "the file of SPDX 2.3, JSON"),
        "_lock": attr.label(default = "//:requirements_lock.txt", allow_single_file = True),
        "_program": attr.label(default = "//rules/sbom", executable = True, cfg = "exec"),
    },
)
