"""The rule behind `oci_load`."""

load(":launcher.bzl", "launcher", "runfiles_path")

def _oci_load_impl(ctx):
    image = ctx.file.image
    tags = ctx.file.repo_tags
    tarball = ctx.actions.declare_file("{}/tarball.tar".format(ctx.label.name))
    args = ctx.actions.args()
    args.add(image.path, format = "--image=%s")
    args.add(tags, format = "--repo-tags=%s")
    args.add(ctx.attr.format, format = "--format=%s")
    args.add(tarball, format = "--output=%s")
    ctx.actions.run(
        executable = ctx.executable._load,
        arguments = [args],
        inputs = [image, tags],
        outputs = [tarball],
        mnemonic = "OCITarball",
        progress_message = "Writing image archive %{label}",
    )

    settings = {
        "format": ctx.attr.format,
        "image": runfiles_path(ctx, image),
        "repo_tags": runfiles_path(ctx, tags),
    }
    files = [image, tags]
    targets = [ctx.attr.image]
    if ctx.attr.loader:
        settings["loader"] = runfiles_path(ctx, ctx.executable.loader)
        files.append(ctx.executable.loader)
        targets.append(ctx.attr.loader)
    return [
        launcher(
            ctx,
            executable = ctx.label.name + ".sh",
            program = ctx.attr._load,
            settings = settings,
            files = files,
            targets = targets,
        ),
        OutputGroupInfo(tarball = depset([tarball])),
    ]

oci_load = rule(
    implementation = _oci_load_impl,
    doc = "Loads an image into the person's container engine. BUILD files use the macro of the same name.",
    executable = True,
    attrs = {
        "image": attr.label(
            allow_single_file = True,
            mandatory = True,
            doc = "The image to load: an oci_image, or with format = \"oci\" an oci_image_index.",
        ),
        "repo_tags": attr.label(
            allow_single_file = [".txt"],
            mandatory = True,
            doc = "A file of names (repository:tag) that the engine gives the image, one a line.",
        ),
        "format": attr.string(
            default = "docker",
            values = ["docker", "oci"],
            doc = "Format of the archive that the engine reads.",
        ),
        "loader": attr.label(
            allow_files = True,
            cfg = "target",
            executable = True,
            doc = "A program to call in place of docker, podman or nerdctl, with the argument `load`.",
        ),
        "_load": attr.label(
            default = ":load",
            cfg = "exec",
            executable = True,
        ),
    },
)
