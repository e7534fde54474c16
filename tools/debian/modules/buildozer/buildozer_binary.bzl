"""Stands in for the extension that Bazel's own module file calls, which fetches a program."""

def _nothing_impl(ctx):
    ctx.file("BUILD.bazel")

_nothing = repository_rule(implementation = _nothing_impl, doc = "An empty repository.")

def _buildozer_binary(_module_ctx):
    # `bazel mod` wants the repository to be there; of its commands only `tidy` runs the program.
    _nothing(name = "buildozer_binary")

buildozer_binary = module_extension(implementation = _buildozer_binary)
