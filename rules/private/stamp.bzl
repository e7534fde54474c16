"""What an image says of its origin, as files that rules_oci takes."""

def _stamp_impl(ctx):
    files = {
        name: ctx.actions.declare_file("{}.{}.txt".format(ctx.label.name, name))
        for name in ["annotations", "created", "environment", "labels"]
    }
    args = ctx.actions.args()
    args.add_all(
        [json.encode([key, value]) for key, value in ctx.attr.labels.items()],
        before_each = "--label",
    )
    args.add_all(
        [json.encode([key, value]) for key, value in ctx.attr.environment.items()],
        before_each = "--variable",
    )
    args.add("--source", ctx.attr.source)
    for name, file in files.items():
        args.add("--" + name, file)
    inputs = []
    if ctx.attr.stamped:
        # The stable status: an unstamped build must not depend on it.
        inputs.append(ctx.info_file)
        args.add("--status", ctx.info_file)
    ctx.actions.run(
        executable = ctx.executable._program,
        arguments = [args],
        inputs = inputs,
        outputs = files.values(),
        mnemonic = "ImageStamp",
        progress_message = "Describing %{label}",
    )
    return [
        DefaultInfo(files = depset([files["labels"]])),
        OutputGroupInfo(**{name: depset([file]) for name, file in files.items()}),
    ]

_stamp = rule(
    implementation = _stamp_impl,
    doc = "Writes NAME.labels.txt, NAME.annotations.txt, NAME.environment.txt and NAME.created.txt.",
    attrs = {
        "environment": attr.string_dict(doc = "variables that the image has in any case, in this order; REVISION is a release's"),
        "labels": attr.string_dict(doc = "labels that the image has in any case, in this order"),
        "source": attr.string(doc = "URL of the sources"),
        "stamped": attr.bool(mandatory = True, doc = "whether revision, version, source and time of the commit are said"),
        "_program": attr.label(default = "//rules/release:stamp", executable = True, cfg = "exec"),
    },
)

def stamp(name, **kwargs):
    """What an image says of its origin, when it is built with `--config=release`.

    Makes `NAME.labels`, `NAME.annotations`, `NAME.environment` and `NAME.created`, which are files.
    Only labels and environment mean something in a build that is not a release.

    Args:
        name: name of the rule.
        **kwargs: labels, environment, source, and what every rule takes.
    """
    _stamp(
        name = name,
        stamped = select({
            Label("//rules/release:stamped"): True,
            "//conditions:default": False,
        }),
        **kwargs
    )
    common = {key: kwargs[key] for key in ["tags", "testonly", "visibility"] if key in kwargs}
    for group in ["annotations", "created", "environment", "labels"]:
        native.filegroup(
            name = "{}.{}".format(name, group),
            srcs = [name],
            output_group = group,
            **common
        )

def if_stamped(value):
    """A value for a release, and None for every other build.

    Args:
        value: a label.

    Returns:
        A select().
    """
    return select({
        Label("//rules/release:stamped"): value,
        "//conditions:default": None,
    })
