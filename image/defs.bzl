"""What a BUILD file needs to make images: `load("//image:defs.bzl", "layer")`."""

load("//image/layers:layer.bzl", _layer = "layer")
load("//image/layers:tree.bzl", _tree = "tree")

layer = _layer
tree = _tree
