"""Manifests for Kubernetes, rendered."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

def _manifests_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".yaml")
    registry = ctx.attr.registry[BuildSettingInfo].value
    args = ctx.actions.args()
    args.add("--kubectl", ctx.file._kubectl)
    args.add("--source", ctx.label.package + "/kubernetes")
    args.add("--overlay", ctx.attr.overlay)
    for digest, name in ctx.attr.images.items():
        file = digest[DefaultInfo].files.to_list()[0]
        args.add("--pin", "{name}={registry}/{name}={file}".format(
            file = file.path,
            name = name,
            registry = registry,
        ))
    args.add("--output", output)
    ctx.actions.run(
        executable = ctx.executable._render,
        arguments = [args],
        inputs = depset(
            ctx.files.srcs + [ctx.file._kubectl],
            transitive = [digest[DefaultInfo].files for digest in ctx.attr.images],
        ),
        outputs = [output],
        mnemonic = "Kustomize",
        progress_message = "Rendering %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

manifests = rule(
    implementation = _manifests_impl,
    doc = "One YAML file, NAME.yaml, of a kustomize overlay whose images are pinned by digest.",
    attrs = {
        "images": attr.label_keyed_string_dict(
            doc = "Files that hold digests, and what the manifests call those images. The " +
                  "migration is named after the first.",
            allow_files = True,
            mandatory = True,
        ),
        "overlay": attr.string(
            doc = "Folder of the overlay, below kubernetes/.",
            mandatory = True,
        ),
        "registry": attr.label(
            doc = "The setting that says where the images are: HOST or HOST/PATH.",
            mandatory = True,
            providers = [BuildSettingInfo],
        ),
        "srcs": attr.label_list(
            doc = "Every file below kubernetes/ that the overlay takes.",
            allow_files = [".yaml"],
            mandatory = True,
        ),
        "_kubectl": attr.label(
            allow_single_file = True,
            cfg = "exec",
            default = "@kubectl//:kubectl",
        ),
        "_render": attr.label(
            cfg = "exec",
            default = "//deploy:render",
            executable = True,
        ),
    },
)
