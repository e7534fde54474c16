"""What a service is deployed with: manifests for Kubernetes and a profile for AppArmor."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//rules:defs.bzl", "ServiceInfo")

_FOLDER = "kubernetes/"

def _source(file):
    # Folders of that name are laid over each other: a service's own over deploy's.
    _, folder, place = file.short_path.partition(_FOLDER)
    if not folder:
        fail("manifests: expected files below a folder kubernetes/, got " + file.short_path)
    return "{}={}".format(place, file.path)

def _manifests_impl(ctx):
    service = ctx.attr.service[ServiceInfo]
    output = ctx.actions.declare_file(ctx.label.name + ".yaml")
    registry = ctx.attr.registry[BuildSettingInfo].value
    args = ctx.actions.args()
    args.add("--kubectl", ctx.file._kubectl)
    args.add("--service", service.definition)
    args.add_all(ctx.files.srcs + ctx.files._base, map_each = _source, before_each = "--source")
    args.add("--overlay", ctx.attr.overlay)
    digests = [(ctx.file.digest, service.name)] + [
        (target[DefaultInfo].files.to_list()[0], name)
        for target, name in ctx.attr.images.items()
    ]
    for file, name in digests:
        args.add(file, format = "--pin={name}={registry}/{name}=%s".format(
            name = name,
            registry = registry.replace("%", "%%"),
        ))
    args.add("--output", output)
    ctx.actions.run(
        executable = ctx.executable._render,
        arguments = [args],
        inputs = depset(
            ctx.files.srcs + ctx.files._base + [ctx.file._kubectl, service.definition] +
            [file for file, _ in digests],
        ),
        outputs = [output],
        mnemonic = "Kustomize",
        progress_message = "Rendering %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

manifests = rule(
    implementation = _manifests_impl,
    doc = """One YAML file, NAME.yaml, of a kustomize overlay whose images are pinned by digest.

In the files, ${KEY} stands for what the service's definition has: service, container, module, port,
uid, gid, startup_path, ready_path, live_path, metrics_path.""",
    attrs = {
        "digest": attr.label(
            doc = "File that holds the digest of the service's image, such as //image:index.digest.",
            allow_single_file = True,
            mandatory = True,
        ),
        "images": attr.label_keyed_string_dict(
            doc = "Files that hold digests of more images, and what the manifests call those.",
            allow_files = True,
        ),
        "overlay": attr.string(
            doc = "Folder of the overlay, below kubernetes/.",
            mandatory = True,
        ),
        "registry": attr.label(
            doc = "The setting that says where the images are: HOST or HOST/PATH.",
            default = "//deploy:registry",
            providers = [BuildSettingInfo],
        ),
        "service": attr.label(
            doc = "The service: `NAME.service` of its `service_image`.",
            mandatory = True,
            providers = [ServiceInfo],
        ),
        "srcs": attr.label_list(
            doc = "The overlay's files, below a folder kubernetes/; base and components come by themselves.",
            allow_files = True,
            mandatory = True,
        ),
        "_base": attr.label(
            default = "//deploy:base",
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

def _fill(ctx, source, name, mnemonic):
    """The file NAME/name that is the source with the service's definition in it."""
    service = ctx.attr.service[ServiceInfo]
    output = ctx.actions.declare_file("{}/{}".format(ctx.label.name, name))
    args = ctx.actions.args()
    args.add("--service", service.definition)
    args.add("--source", source)
    args.add("--output", output)
    ctx.actions.run(
        executable = ctx.executable._fill,
        arguments = [args],
        inputs = [service.definition, source],
        outputs = [output],
        mnemonic = mnemonic,
        progress_message = "Writing %{output}",
    )
    return output

_FILLED = {
    "service": attr.label(
        doc = "The service: `NAME.service` of its `service_image`.",
        mandatory = True,
        providers = [ServiceInfo],
    ),
    "_fill": attr.label(
        cfg = "exec",
        default = "//deploy:fill",
        executable = True,
    ),
}

def _apparmor_profile_impl(ctx):
    name = ctx.attr.service[ServiceInfo].name
    return [DefaultInfo(files = depset([_fill(ctx, ctx.file._source, name, "AppArmor")]))]

apparmor_profile = rule(
    implementation = _apparmor_profile_impl,
    doc = "The service's AppArmor profile, NAME/SERVICE, to be loaded on nodes.",
    attrs = _FILLED | {
        "_source": attr.label(
            allow_single_file = True,
            default = "//deploy:apparmor/profile",
        ),
    },
)

def _admission_policies_impl(ctx):
    return [DefaultInfo(files = depset([
        _fill(ctx, source, source.basename, "AdmissionPolicy")
        for source in ctx.files._sources
    ]))]

admission_policies = rule(
    implementation = _admission_policies_impl,
    doc = """What a cluster may demand of the service's image: NAME/sigstore.yaml, NAME/kyverno.yaml.

They are no part of the service's manifests: who decides what may run is not who runs it.""",
    attrs = _FILLED | {
        "_sources": attr.label_list(
            allow_files = True,
            default = [
                "//deploy:admission/kyverno.yaml",
                "//deploy:admission/sigstore.yaml",
            ],
        ),
    },
)
