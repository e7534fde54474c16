"""The rule that makes a site of pages in Markdown."""

def _site_impl(ctx):
    site = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add_all([site], before_each = "--site", expand_directories = False)
    for file in ctx.files.srcs:
        args.add("{}={}".format(file.short_path, file.path))
    ctx.actions.run(
        executable = ctx.executable._builder,
        arguments = [args],
        inputs = ctx.files.srcs,
        outputs = [site],
        # What the pages need has to be in the wheels.
        execution_requirements = {"block-network": "1"},
        mnemonic = "Site",
        progress_message = "Making the site %{label}",
    )
    return [DefaultInfo(
        files = depset([site]),
        runfiles = ctx.runfiles([site]),
    )]

site = rule(
    implementation = _site_impl,
    doc = "Makes a site, NAME, of pages; a link between them that leads nowhere fails the build.",
    attrs = {
        "srcs": attr.label_list(
            allow_files = True,
            doc = "pages, and what they show or link to, at their paths in the workspace",
        ),
        "_builder": attr.label(default = Label("//tools/site:builder"), executable = True, cfg = "exec"),
    },
)
