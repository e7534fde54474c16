"""What rules tell each other."""

LayerInfo = provider(
    doc = "One layer of an image, and what is known of it without reading it.",
    fields = {
        "archive": "File: the layer, a .tar.gz or .tar.zst",
        "debs": "depset of File: the Debian packages in it",
        "contents": "File: JSON lines, one for each entry of the archive, in its order: path, type, " +
                    "mode, origin (the Debian package's name, the wheel's NAME==VERSION or the target it " +
                    "comes from), size, sha256, target, made_of (paths of what it was made of here), stripped " +
                    "(sha256 of what it was before it lost what no process sees)",
        "descriptor": "File: a JSON object of the archive's digest, diffid, size and compression",
        "sources": "depset of File: the files of this repository, taken from Python targets, in it",
        "wheels": "depset of struct: the wheels in it, as `PythonFilesInfo.packages` has them",
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
