"""The rule behind `oci_push`."""

load(":launcher.bzl", "launcher", "runfiles_path")

def _oci_push_impl(ctx):
    image = ctx.file.image
    if not image.is_directory:
        fail("image: expected an oci_image or oci_image_index, got the file {}".format(image.short_path))
    repository = ctx.attr.repository
    if "@" in repository or ":" in repository.rpartition("/")[2]:
        fail("repository: expected a name without tag or digest, got {}. Tags go into remote_tags".format(repository))

    settings = {
        "crane": runfiles_path(ctx, ctx.file._crane),
        "image": runfiles_path(ctx, image),
    }
    files = [image, ctx.file._crane]
    if repository:
        settings["repository"] = repository
    for name in ["repository_file", "remote_tags"]:
        file = getattr(ctx.file, name)
        if file:
            settings[name] = runfiles_path(ctx, file)
            files.append(file)
    return launcher(
        ctx,
        executable = "push_{}.sh".format(ctx.label.name),
        program = ctx.attr._push,
        settings = settings,
        files = files,
        targets = [ctx.attr.image],
    )

oci_push = rule(
    implementation = _oci_push_impl,
    doc = "Pushes an image by its digest, then tags it. BUILD files use the macro of the same name.",
    executable = True,
    attrs = {
        "image": attr.label(
            allow_single_file = True,
            mandatory = True,
            doc = "The oci_image or oci_image_index to push.",
        ),
        "repository": attr.string(
            doc = "Where to push to, without tag or digest. `bazel run TARGET -- --repository R` says otherwise.",
        ),
        "repository_file": attr.label(
            allow_single_file = True,
            doc = "A file that holds the repository.",
        ),
        "remote_tags": attr.label(
            allow_single_file = True,
            doc = "A file of tags to set, one a line.",
        ),
        "_crane": attr.label(
            default = "@oci_system_tools//:crane",
            allow_single_file = True,
            cfg = "exec",
        ),
        "_push": attr.label(
            default = ":push",
            cfg = "exec",
            executable = True,
        ),
    },
)
