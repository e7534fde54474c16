"""Metrics of one process, and of several."""

from pathlib import Path

from serving.tests.exposition import samples
from serving.tests.process import imported
from serving.watch.multiprocess import FOLDER_VARIABLE
from serving.watch.registry import Registry


def test_two_registries_do_not_know_each_other() -> None:
    one, other = Registry(), Registry()
    one.counter("guests", "Guests.").inc()
    other.counter("guests", "Guests.")
    assert samples(one.expose().decode())["guests_total"] == 1
    assert samples(other.expose().decode())["guests_total"] == 0


def test_any_process_of_several_answers_for_all(tmp_path: Path) -> None:
    script = f"""
import os
os.environ["{FOLDER_VARIABLE}"] = {str(tmp_path)!r}
from serving.watch.registry import Registry
registry = Registry()
guests, beds = registry.counter("guests", "Guests.", "name"), registry.gauge("beds", "Beds.")
newest = registry.gauge("newest", "Newest.", mode="max")
for number in (1, 2):
    if not os.fork():
        guests.labels("x").inc(number)
        os._exit(0)
    os.wait()
beds.set(3)
newest.set(7)
text = registry.expose().decode()
assert 'guests_total{{name="x"}} 3.0' in text, text
assert "beds 3.0" in text and "newest 7.0" in text, text
"""
    assert "prometheus_client" in imported(script)
