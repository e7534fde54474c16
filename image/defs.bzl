"""What a BUILD file needs to make images: `load("//image:defs.bzl", "layer")`."""

load("//image/layers:layer.bzl", _layer = "layer")

layer = _layer
