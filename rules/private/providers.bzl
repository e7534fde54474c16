"""What rules tell each other."""

LayerInfo = provider(
    doc = "One layer of an image, and what is known of it without reading it.",
    fields = {
        "archive": "File: the layer, a .tar.gz",
        "contents": "File: JSON lines, one for each entry of the archive, in its order: path, type, " +
                    "mode, origin (the package or target it comes from), size, sha256, target",
        "descriptor": "File: a JSON object of the archive's digest, diffid, size and compression",
    },
)
