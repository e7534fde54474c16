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

ServiceInfo = provider(
    doc = "A service, as everything that names it has to know it.",
    fields = {
        "definition": "File: the same in JSON, with more; docs/your-service.md lists its keys",
        "module": "string: what `python -m` runs",
        "name": "string: what images, Kubernetes objects, Secret and profiles are called",
        "port": "int: the port it listens on",
    },
)
