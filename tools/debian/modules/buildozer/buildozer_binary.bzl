"""Stands in for the extension that Bazel's own module file calls; it makes no repository."""

def _buildozer_binary(_module_ctx):
    pass

buildozer_binary = module_extension(implementation = _buildozer_binary)
