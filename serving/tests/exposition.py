"""What a test reads out of /metrics."""


def samples(exposition: str) -> dict[str, float]:
    """The samples of Prometheus' text format, by their names with labels as they are written."""
    lines = [line for line in exposition.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
