"""The rule that says how an image came to be."""

load(":providers.bzl", "ServiceInfo")

# What decides, besides the commit, which bytes a build takes; by their paths in the repository.
_LOCKS = {
    Label("//:MODULE.bazel"): "MODULE.bazel",
    Label("//image:lock.json"): "image/lock.json",
    Label("//:requirements_lock.txt"): "requirements_lock.txt",
    Label("//tools/debian:recipe.toml"): "tools/debian/recipe.toml",
}

def _provenance_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    sboms = [sbom[OutputGroupInfo].spdx for sbom in ctx.attr.sboms]
    others = [sbom[OutputGroupInfo].cyclonedx for sbom in ctx.attr.sboms]
    locks = {path: target[DefaultInfo].files.to_list()[0] for target, path in ctx.attr._locks.items()}

    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    args.add_all(ctx.files.index, before_each = "--index", expand_directories = False)
    args.add("--name", ctx.attr.service[ServiceInfo].name)
    args.add("--target", ctx.attr.index.label)
    args.add_all(depset(transitive = sboms), before_each = "--sbom")
    args.add_all(depset(transitive = others), before_each = "--other")
    for path, file in sorted(locks.items()):
        args.add_all(["--lock", path, file])
    args.add("--bazel", ctx.file._bazel)
    args.add("--output", output)
    ctx.actions.run(
        executable = ctx.executable._program,
        arguments = [args],
        inputs = depset(ctx.files.index + locks.values() + [ctx.file._bazel], transitive = sboms + others),
        outputs = [output],
        mnemonic = "ImageProvenance",
        progress_message = "Writing the provenance %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

provenance = rule(
    implementation = _provenance_impl,
    doc = "Writes NAME.json: an in-toto statement with SLSA provenance, unsigned.",
    attrs = {
        "index": attr.label(mandatory = True, doc = "an oci_image_index"),
        "sboms": attr.label_list(mandatory = True, doc = "the SBOMs of its images, as `sbom` makes them"),
        "service": attr.label(mandatory = True, providers = [ServiceInfo], doc = "the service it is of"),
        "_bazel": attr.label(default = "//:.bazelversion", allow_single_file = True),
        "_locks": attr.label_keyed_string_dict(default = _LOCKS, allow_files = True),
        "_program": attr.label(default = "//rules/provenance", executable = True, cfg = "exec"),
    },
)
