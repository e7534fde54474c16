"""Compares two images from the top down: index, manifest, config, layers, entries, content."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rules.diff import cause, documents, entries
from rules.diff.difference import Difference, Report, Side
from rules.diff.entries import Place
from rules.diff.image import Image, Index, Layer, platform_name
from rules.diff.layer import Unpacked, unpack

# Two layers are one layer in two states if this part of their paths is common.
_ALIKE = 0.3
# What a document repeats of the documents below it.
_FOLLOWS = frozenset({"digest", "size", "diff_ids"})

type Deep = Callable[[str, bytes, bytes], Sequence[str]]


class Comparison:
    """One comparison; `scratch` is a folder for unpacked layers, `progress` is told of each."""

    def __init__(self, scratch: str, deep: Deep, progress: Callable[[str], None]) -> None:
        self._scratch = scratch
        self._deep = deep
        self._progress = progress
        self._notes: list[str] = []

    def report(self, names: tuple[str, str], left: Image | Index, right: Image | Index) -> Report:
        """The report of all differences; raises `UnreadableError` on a broken layer."""
        report = Report(_side(names[0], left), _side(names[1], right))
        report.differences = list(self._nodes((), left, right))
        if not _related(left, right):
            self._notes.insert(
                0,
                "the two have no layer in common, and other names: they look like images of "
                "different projects",
            )
        report.notes = self._notes
        return report

    def _nodes(
        self, where: tuple[str, ...], left: Image | Index, right: Image | Index
    ) -> Iterator[Difference]:
        if isinstance(left, Image) and isinstance(right, Image):
            yield from self._images((*where, left.platform), left, right)
            return
        if isinstance(left, Index) and isinstance(right, Index):
            yield from _index(where, left, right)
        else:
            kinds = ["index" if isinstance(each, Index) else "image" for each in (left, right)]
            yield Difference("index", where, "kind", kinds[0], kinds[1])
        one, other = _platforms(left), _platforms(right)
        for key in dict.fromkeys([*one, *other]):
            if key in one and key in other:
                yield from self._nodes(where, one[key], other[key])
            else:
                sides = ["there" if key in side else "(none)" for side in (one, other)]
                yield Difference("index", (*where, key), "image", sides[0], sides[1])

    def _images(self, where: tuple[str, ...], left: Image, right: Image) -> Iterator[Difference]:
        if left.manifest.digest == right.manifest.digest:
            return
        if left.synthetic or right.synthetic:
            self._notes.append(
                "docker archives have no manifest: configs and layers are compared, media types "
                "and annotations are not"
            )
        else:
            elsewhere = {"layers", "config"}
            yield from _documents("manifest", where, left.manifest, right.manifest, elsewhere)
            yield from _descriptors(where, left, right)
        yield from _documents("config", where, left.config, right.config, {"rootfs"})
        yield from self._layers(where, left.layers, right.layers)

    def _layers(
        self, where: tuple[str, ...], left: Sequence[Layer], right: Sequence[Layer]
    ) -> Iterator[Difference]:
        if len(left) != len(right):
            yield Difference("manifest", where, "number of layers", str(len(left)), str(len(right)))
        # The same bytes, wherever they come in the order.
        same = _same(left, right)
        order = [(one.number, other.number) for one, other in same]
        if order != sorted(order, key=lambda pair: pair[1]):
            names = [", ".join(str(pair[side]) for pair in same) for side in (0, 1)]
            yield Difference("manifest", where, "order of layers", names[0], names[1], cause.ORDER)
        rest = [each for each in left if each not in {one for one, _ in same}]
        others = [each for each in right if each not in {other for _, other in same}]
        pairs = [pair for pair in same if pair[0].digest != pair[1].digest]
        unpacked = self._unpack([*rest, *others, *(layer for pair in pairs for layer in pair)])
        pairs = sorted([*pairs, *_alike(rest, others, unpacked)], key=lambda pair: pair[0].number)
        try:
            yield from self._pairs(where, pairs, rest, others, unpacked)
        finally:
            for each in unpacked.values():
                each.tar.close()

    def _unpack(self, layers: Sequence[Layer]) -> Mapping[Layer, Unpacked]:
        def one(layer: Layer) -> Unpacked:
            self._progress(f"reading {layer.store.name}: {layer}")
            return unpack(layer, self._scratch)

        with ThreadPoolExecutor() as pool:
            # All end, so that the files of those that were read can be closed.
            jobs = [(layer, pool.submit(one, layer)) for layer in layers]
        if errors := [error for _, job in jobs if (error := job.exception())]:
            for _, job in jobs:
                if not job.exception():
                    job.result().tar.close()
            raise errors[0]
        return {layer: job.result() for layer, job in jobs}

    def _pairs(
        self,
        where: tuple[str, ...],
        pairs: Sequence[tuple[Layer, Layer]],
        rest: Sequence[Layer],
        others: Sequence[Layer],
        unpacked: Mapping[Layer, Unpacked],
    ) -> Iterator[Difference]:
        left_over: list[Place] = []
        right_over: list[Place] = []
        for one, other in pairs:
            place = (*where, _name(one, other))
            a, b = unpacked[one], unpacked[other]
            found = list(entries.archives(place, a, b))
            common, first, second = entries.paired(_places(one, a), _places(other, b))
            left_over += first
            right_over += second
            # Layers of one name at two places are told of as layers, not once an entry.
            found += entries.compare(
                place, [(x, Place(x.layer, y.unpacked, y.entry)) for x, y in common], self._deep
            )
            if a.diff_id != b.diff_id and not found and not first and not second:
                found.append(entries.raw(place, a, b))
            elif a.diff_id == b.diff_id and not found:
                sizes = [f"{each.file.stat().st_size} bytes" for each in (one, other)]
                what = "compressed form of the same archive"
                found.append(Difference("layer", place, what, sizes[0], sizes[1], cause.COMPRESSOR))
            yield from found
        matched = {layer for pair in pairs for layer in pair}
        alone = [(each, True) for each in rest] + [(each, False) for each in others]
        for layer, left_side in alone:
            if layer not in matched:
                count = len(unpacked[layer].entries or ())
                shown = f"{count} entries"
                sides = (shown, "(none)") if left_side else ("(none)", shown)
                yield Difference("manifest", (*where, str(layer)), "layer", *sides)
                (left_over if left_side else right_over).extend(_places(layer, unpacked[layer]))
        moved, gone, come = entries.paired(left_over, right_over)
        yield from entries.compare(where, moved, self._deep)
        for each in gone:
            inner = (*where, each.layer, each.entry.path)
            yield Difference("entry", inner, "entry", each.entry.fields["type"], "(none)")
        for each in come:
            inner = (*where, each.layer, each.entry.path)
            yield Difference("entry", inner, "entry", "(none)", each.entry.fields["type"])


def no_deep(_: str, left: bytes, right: bytes) -> Sequence[str]:
    """Shows nothing more of a file's content."""
    del left, right
    return ()


def _side(name: str, node: Image | Index) -> Side:
    if isinstance(node, Index):
        return Side(name, node.document.digest, f"index of {', '.join(node.images)}")
    if node.synthetic:
        return Side(name, f"image ID {node.config.digest}", f"docker archive, {node.platform}")
    return Side(name, node.manifest.digest, f"image, {node.platform}")


def _platforms(node: Image | Index) -> Mapping[str, Image | Index]:
    return {node.platform: node} if isinstance(node, Image) else node.images


def _index(where: tuple[str, ...], left: Index, right: Index) -> Iterator[Difference]:
    if left.document.digest == right.document.digest:
        return
    yield from _documents("index", where, left.document, right.document, {"manifests"})
    common = [key for key in left.images if key in right.images]
    others = [key for key in right.images if key in left.images]
    if common != others:
        sides = [", ".join(each) for each in (common, others)]
        yield Difference(
            "index",
            where,
            "order of images",
            sides[0],
            sides[1],
            cause.of_order(common, others),
        )
    for key in common:
        one, other = left.descriptors[key], right.descriptors[key]
        for path, what, a, b, guess in documents.values("", _without(one), _without(other)):
            yield Difference("index", (*where, key, path), what, a, b, guess)
        platform = left.images[key]
        stated = one.get("platform")
        if isinstance(platform, Image) and isinstance(stated, dict):
            name = platform_name(stated)
            if name.partition("/v")[0] != platform.platform.partition("/v")[0]:
                yield Difference(
                    "index", (*where, key), "platform of its config", name, platform.platform
                )


def _descriptors(where: tuple[str, ...], left: Image, right: Image) -> Iterator[Difference]:
    one, other = left.manifest.value["config"], right.manifest.value["config"]
    for path, what, a, b, guess in documents.values("config", _without(one), _without(other)):
        yield Difference("manifest", (*where, path), what, a, b, guess)
    if len(left.layers) == len(right.layers):
        layers = [[_without(each.descriptor) for each in side.layers] for side in (left, right)]
        for path, what, a, b, guess in documents.values("layers", layers[0], layers[1]):
            yield Difference("manifest", (*where, path), what, a, b, guess)


def _without(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in descriptor.items() if key not in _FOLLOWS}


def _documents(
    level: str, where: tuple[str, ...], left: Any, right: Any, elsewhere: set[str]
) -> Iterator[Difference]:
    """Differences of two documents, but for keys whose own levels tell of them."""
    if left.digest == right.digest:
        return
    one = {key: None if key in elsewhere else value for key, value in left.value.items()}
    other = {key: None if key in elsewhere else value for key, value in right.value.items()}
    place = (*where, level)
    rows = list(documents.values("", one, other))
    if not rows and left.value == right.value:
        rows = list(documents.differences(one, other, left.content, right.content))
    for path, what, a, b, guess in rows:
        yield Difference(level, (*place, path) if path else place, what, a, b, guess)


def _same(left: Sequence[Layer], right: Sequence[Layer]) -> list[tuple[Layer, Layer]]:
    """Pairs of layers that hold the same archive, whatever compressed it."""
    pairs = []
    free = list(right)
    for one in left:
        for other in free:
            if one.digest == other.digest or (one.diff_id and one.diff_id == other.diff_id):
                pairs.append((one, other))
                free.remove(other)
                break
    return pairs


def _alike(
    left: Sequence[Layer], right: Sequence[Layer], unpacked: Mapping[Layer, Unpacked]
) -> list[tuple[Layer, Layer]]:
    """Pairs of layers that hold much the same paths, the most alike first."""
    paths = {
        layer: {each.path for each in unpacked[layer].entries or ()} for layer in [*left, *right]
    }
    scored = []
    for one in left:
        for other in right:
            union = len(paths[one] | paths[other])
            score = len(paths[one] & paths[other]) / union if union else 1.0
            scored.append((-score, abs(one.number - other.number), one.number, other.number))
    pairs = []
    first = {each.number: each for each in left}
    second = {each.number: each for each in right}
    for score, _, one_number, other_number in sorted(scored):
        alone = len(left) == len(right) == 1
        free = one_number in first and other_number in second
        if free and (-score >= _ALIKE or alone):
            pairs.append((first.pop(one_number), second.pop(other_number)))
    return pairs


def _name(one: Layer, other: Layer) -> str:
    return str(one) if str(one) == str(other) else f"{one} and {other}"


def _places(layer: Layer, unpacked: Unpacked) -> list[Place]:
    return [Place(str(layer), unpacked, entry) for entry in unpacked.entries or ()]


def _related(left: Image | Index, right: Image | Index) -> bool:
    """Whether two images seem to be of one project: a layer, a title or an entrypoint in common."""
    one, other = _marks(left), _marks(right)
    return bool(one & other)


def _marks(node: Image | Index) -> set[str]:
    if isinstance(node, Index):
        return set().union(*map(_marks, node.images.values()))
    config = node.config.value.get("config") or {}
    marks = {layer.diff_id or layer.digest for layer in node.layers}
    marks.add(f"title {(config.get('Labels') or {}).get('org.opencontainers.image.title')}")
    marks.add(f"entrypoint {config.get('Entrypoint')}")
    return marks - {"title None", "entrypoint None"}
