"""The `python` module extension."""

def _python(_module_ctx):
    # The repository registers its own toolchain, so there is no interpreter to fetch.
    pass

python = module_extension(
    implementation = _python,
    tag_classes = {
        "toolchain": tag_class(attrs = {
            "is_default": attr.bool(doc = "Whether this version serves where none is named."),
            "python_version": attr.string(doc = "MAJOR.MINOR", mandatory = True),
        }),
    },
)
