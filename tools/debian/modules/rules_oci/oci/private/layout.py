"""Writes OCI image layouts: the image that base, layers and settings make, or an index of images.

Every document is byte for byte what rules_oci 2.3.2 writes for the same inputs (its jq filters
decide key order and spacing), so that a digest does not tell which of the two built it. Only blobs
that the finished manifest reaches are in the layout.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Document = dict[str, Any]

_CONFIG = "application/vnd.oci.image.config.v1+json"
_DOCKER = "application/vnd.docker."
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_INDEX = "application/vnd.oci.image.index.v1+json"
_INDEXES = frozenset({_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"})
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

_EPOCH = "1970-01-01T00:00:00Z"
_COMPRESSIONS = frozenset({"", "gzip", "zstd"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_VARIABLE = re.compile(r"\$\{?([a-zA-Z0-9_]+)\}?")
_INDEX_KEYS = ("schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations")
_PLATFORM_KEYS = ("os", "architecture", "variant", "os.version", "os.features")


class LayoutError(Exception):
    """An input that no layout can be made of; the message is for the person who wrote it."""


class Layer(NamedTuple):
    """One layer's archive and what is known of it.

    `size` is in bytes; `compression` is "", "gzip" or "zstd"; `diff_id` is the digest of the
    uncompressed archive (OCI image-spec, config.md).
    """

    path: Path
    label: str
    digest: str
    diff_id: str
    size: int
    compression: str


class Settings(NamedTuple):
    """What an image says of itself; None leaves what the base says.

    The texts are those of the files that `oci_image` takes: `env`, `labels` and `annotations` one
    `key=value` a line, `entrypoint` and `cmd` one word a line, `exposed_ports` and `volumes`
    separated by commas.
    """

    created: str | None = None
    entrypoint: str | None = None
    cmd: str | None = None
    exposed_ports: str | None = None
    volumes: str | None = None
    env: str | None = None
    labels: str | None = None
    annotations: str | None = None
    user: str | None = None
    workdir: str | None = None


def text(value: Any) -> str:
    """JSON as jq prints it, without a newline at the end."""
    printed = json.dumps(value, indent=2, ensure_ascii=False)
    # The one printable-looking character that jq escapes and Python does not.
    return printed.replace("\x7f", "\\u007f")


def digest(content: bytes) -> str:
    """The OCI digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Layout:
    """An OCI image layout (image-spec, image-layout.md) at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def blob(self, name: str) -> Path:
        """Where the blob of this digest is. Raises LayoutError for what is no SHA-256 digest."""
        if not _DIGEST.fullmatch(name):
            raise LayoutError(f"{self.root}: expected a sha256 digest, got {name!r}")
        return self.root / "blobs/sha256" / name.removeprefix("sha256:")

    def read(self, name: str) -> Document:
        """The JSON object with this digest. Raises LayoutError if it is not there."""
        return _object(self.blob(name))

    def only_manifest(self) -> Document:
        """The one descriptor in index.json. Raises LayoutError unless there is exactly one."""
        if not (self.root / "oci-layout").is_file():
            raise LayoutError(
                f"{self.root} is no OCI image layout: it has no file named oci-layout. "
                "Name an oci_image target."
            )
        manifests = _object(self.root / "index.json").get("manifests") or []
        if len(manifests) != 1:
            raise LayoutError(
                f"{self.root}/index.json: expected one manifest, got {len(manifests)}"
            )
        descriptor: Document = manifests[0]
        return descriptor

    def image(self) -> Document:
        """The manifest of the one image. Raises LayoutError for an index of several."""
        descriptor = self.only_manifest()
        if descriptor.get("mediaType") in _INDEXES:
            raise LayoutError(
                f"{self.root} is an image index, of several platforms. "
                "Name the oci_image target of one platform."
            )
        manifest = self.read(descriptor["digest"])
        manifest.setdefault("mediaType", descriptor.get("mediaType"))
        return manifest

    def create(self) -> None:
        """Makes the folders."""
        (self.root / "blobs/sha256").mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Adds a blob; returns its digest."""
        name = digest(content)
        self.blob(name).write_bytes(content)
        return name

    def take(self, name: str, source: Path) -> None:
        """Adds the file that has this digest, by its content: links would tie it to its source."""
        target = self.blob(name)
        if target.exists():
            return
        if not source.is_file():
            raise LayoutError(f"{source} is missing; the layout is not complete")
        shutil.copyfile(source, target)

    def finish(self, version: str, index: str) -> None:
        """Writes the two files that make the folder a layout."""
        (self.root / "oci-layout").write_text(version)
        (self.root / "index.json").write_text(index)


def build_image(
    output: Layout,
    *,
    base: Layout | None,
    platform: Mapping[str, str] | None,
    layers: Sequence[Layer],
    settings: Settings,
) -> str:
    """Writes the image; returns its digest.

    Either `base` or `platform` ("os", "architecture", "variant") is given. Raises LayoutError.
    """
    if base is not None:
        manifest = base.image()
        config = base.read(manifest["config"]["digest"])
        index = _object(base.root / "index.json")
    else:
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": 0},
            "layers": [],
        }
        config = {
            "created": _EPOCH,
            "config": {},
            "history": [],
            "rootfs": {"type": "layers", "diff_ids": []},
            **(platform or {}),
        }
        index = {"schemaVersion": 2, "mediaType": _INDEX}
    output.create()
    if base is not None:
        for layer in manifest["layers"]:
            output.take(layer["digest"], base.blob(layer["digest"]))
    for added in layers:
        _add(added, manifest, config)
        output.take(added.digest, added.path)
    _merge(config, _changes(settings, config))
    inner = config.get("config") or {}
    if inner.get("Cmd", ...) is None:
        del inner["Cmd"]
    if settings.annotations is not None:
        manifest["annotations"] = (manifest.get("annotations") or {}) | _pairs(settings.annotations)
    content = text(config).encode()
    manifest["config"] |= {"digest": output.put(content), "size": len(content)}
    manifest["config"].pop("data", None)
    content = f"{text(manifest)}\n".encode()
    name = output.put(content)
    index["manifests"] = [
        {"mediaType": manifest["mediaType"], "digest": name, "size": len(content)}
    ]
    ordered = {key: index[key] for key in _INDEX_KEYS if key in index}
    output.finish('{"imageLayoutVersion":"1.0.0"}', f"{text(ordered)}\n")
    return name


def build_index(output: Layout, images: Iterable[Layout], *, annotations: str | None = None) -> str:
    """Writes an index of images with their blobs; returns its digest. Raises LayoutError."""
    output.create()
    manifests = []
    for image in images:
        descriptor = image.only_manifest()
        manifest = image.image()
        config_name = manifest["config"]["digest"]
        config = image.read(config_name)
        platform = {key: config[key] for key in _PLATFORM_KEYS if config.get(key) is not None}
        manifests.append(descriptor | {"platform": platform})
        names = [descriptor["digest"], config_name]
        for name in names + [layer["digest"] for layer in manifest["layers"]]:
            output.take(name, image.blob(name))
    index: Document = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}
    if annotations is not None:
        index["annotations"] = _pairs(annotations)
    content = f"{text(index)}\n".encode()
    name = output.put(content)
    entry = {"mediaType": _INDEX, "size": len(content), "digest": name}
    output.finish('{"imageLayoutVersion": "1.0.0"}\n', f"{text({'manifests': [entry]})}\n")
    return name


def expand(value: str, variables: Iterable[tuple[str, str]]) -> str:
    """Puts the values of `$KEY` and `${KEY}` into `value`; unknown ones vanish.

    >>> expand("/app:$PATH:${NONE}", [("PATH", "/usr/bin")])
    '/app:/usr/bin:'
    """
    known = list(variables)
    return _VARIABLE.sub(
        lambda match: "".join(found for key, found in known if key == match[1]), value
    )


def _add(layer: Layer, manifest: Document, config: Document) -> None:
    if str(manifest.get("mediaType")).startswith(_DOCKER):
        media_type, separator = _DOCKER_LAYER, "."
    else:
        media_type, separator = _LAYER, "+"
    if layer.compression:
        media_type += separator + layer.compression
    history = {"created": _EPOCH, "created_by": f"bazel build {layer.label}"}
    rootfs = config["rootfs"]
    rootfs["diff_ids"] = [*(rootfs.get("diff_ids") or []), layer.diff_id]
    config["history"] = [*(config.get("history") or []), history]
    manifest["layers"] = [
        *(manifest.get("layers") or []),
        {"size": layer.size, "digest": layer.digest, "mediaType": media_type},
    ]


def _changes(settings: Settings, config: Document) -> Document:
    """What is laid over the config. Keys are in the order in which rules_oci sets them."""
    changed: Document = {}
    inner: Document = {}
    if settings.created is not None:
        if not _RFC3339.fullmatch(settings.created):
            raise LayoutError(
                "created: expected a time as 2025-01-31T12:00:00Z (RFC 3339) with nothing after "
                f"it, got {settings.created!r}"
            )
        changed["created"] = settings.created
    if settings.entrypoint is not None:
        # As with a Dockerfile: the base's arguments are for the base's program.
        inner |= {"Cmd": None, "Entrypoint": _words(settings.entrypoint)}
    if settings.cmd is not None:
        inner["Cmd"] = _words(settings.cmd)
    if settings.exposed_ports is not None:
        inner["ExposedPorts"] = _set(settings.exposed_ports)
    if settings.volumes is not None:
        inner["Volumes"] = _set(settings.volumes)
    if settings.env is not None:
        base = (config.get("config") or {}).get("Env") or []
        inner["Env"] = _environment(base, settings.env)
    if settings.labels is not None:
        inner["Labels"] = _pairs(settings.labels)
    if settings.user:
        inner["User"] = settings.user
    if settings.workdir:
        inner["WorkingDir"] = settings.workdir
    if inner:
        changed["config"] = inner
    return changed


def _environment(base: Iterable[str], lines: str) -> list[str]:
    variables = [entry.partition("=")[::2] for entry in base]
    for line in lines.removesuffix("\n").split("\n") if lines else []:
        key, _, value = line.partition("=")
        value = expand(value, variables)
        keys = [name for name, _ in variables]
        if key in keys:
            variables[keys.index(key)] = (key, value)
        else:
            variables.append((key, value))
    return [f"{key}={value}" for key, value in variables]


def _words(lines: str) -> list[str]:
    return [line.replace("%5Cn", "\n") for line in lines.split("\n") if line]


def _set(names: str) -> dict[str, Document]:
    return {name: {} for name in names.split(",")} if names else {}


def _pairs(lines: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines.split("\n") if line)
    return {key: value for key, _, value in pairs}


def _merge(target: Document, changes: Document) -> None:
    for key, value in changes.items():
        current = target.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            _merge(current, value)
        else:
            target[key] = value


def _object(path: Path) -> Document:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise LayoutError(f"{path} is missing; the layout is not complete") from None
    except ValueError as error:
        raise LayoutError(f"{path}: expected JSON: {error}") from None
    if not isinstance(value, dict):
        raise LayoutError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def _layer(archive: str, descriptor: str, label: str) -> Layer:
    known = _object(Path(descriptor))
    try:
        layer = Layer(
            path=Path(archive),
            label=label,
            digest=known["digest"],
            diff_id=known["diffid"],
            size=known["size"],
            compression=known["compression"],
        )
    except KeyError as error:
        raise LayoutError(f"{label}: its descriptor {descriptor} has no {error}") from None
    if layer.compression not in _COMPRESSIONS:
        raise LayoutError(
            f"{label}: expected compression gzip, zstd or none, got {layer.compression!r}"
        )
    found = layer.path.stat().st_size
    if found != layer.size:
        raise LayoutError(
            f"{label}: its descriptor says {layer.size} bytes, the archive {archive} has {found}"
        )
    return layer


def _file(name: str, path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise LayoutError(f"{name}: expected UTF-8 in {path}: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    image = commands.add_parser("image")
    index = commands.add_parser("index")
    for command in (image, index):
        command.add_argument("--output", required=True, help="folder to write the layout in")
        command.add_argument("--digest-file", required=True, help="file to write the digest in")
    start = image.add_mutually_exclusive_group(required=True)
    start.add_argument("--base", help="layout to start from")
    start.add_argument("--platform", help="JSON object with os, architecture and variant")
    image.add_argument(
        "--layer",
        nargs=3,
        action="append",
        default=[],
        metavar=("ARCHIVE", "DESCRIPTOR", "LABEL"),
    )
    for name in _FILES:
        image.add_argument(f"--{name.replace('_', '-')}", metavar="FILE")
    image.add_argument("--user")
    image.add_argument("--workdir")
    index.add_argument("--image", action="append", required=True, help="layout of one image")
    index.add_argument("--annotations", metavar="FILE")
    return parser


_FILES = (
    "created",
    "entrypoint",
    "cmd",
    "exposed_ports",
    "volumes",
    "env",
    "labels",
    "annotations",
)


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the rules call; returns the exit code."""
    options = _parser().parse_args(arguments)
    output = Layout(Path(options.output))
    try:
        if options.command == "index":
            name = build_index(
                output,
                [Layout(Path(path)) for path in options.image],
                annotations=_file("annotations", options.annotations),
            )
        else:
            name = build_image(
                output,
                base=Layout(Path(options.base)) if options.base else None,
                platform=json.loads(options.platform) if options.platform else None,
                layers=[_layer(*layer) for layer in options.layer],
                settings=Settings(
                    user=options.user,
                    workdir=options.workdir,
                    **{name: _file(name, getattr(options, name)) for name in _FILES},
                ),
            )
    except LayoutError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    Path(options.digest_file).write_text(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
