"""The page about the metrics, made from the registry so that it cannot drift."""

from serving.watch.registry import Registry

_PAGE = """\
# Metrics

`GET /metrics` has them in Prometheus' text format, with an API key where one is demanded. A
histogram is exposed as `NAME_bucket`, `NAME_sum` and `NAME_count`; its times are in seconds. With
several workers any of them answers for all. Names and labels are an interface; no label has a value
that a client can make up.

This page is made from what the rooms register, by
`tools/bazel run //{module} -- metrics`; a test fails when they differ. What to do when a figure is
bad stands in [operate.md](operate.md#alerts).

| Metric | Kind | Labels | Meaning |
| --- | --- | --- | --- |
"""


def reference(registry: Registry, module: str) -> str:
    """The page, in Markdown.

    Args:
        registry: of all the metrics.
        module: of the service, whose command writes the page.
    """
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} "
        f"| {one.about} |"
        for one in registry.described
    ]
    return _PAGE.format(module=module) + "\n".join(rows) + "\n"
