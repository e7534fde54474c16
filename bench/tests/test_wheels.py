"""Wheels of an image: which, with which hashes, and another version in their place."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench import wheels
from bench.commands import BenchError
from tools.locks.wheels import read

LOCK = """\
# comment
annotated-doc==0.0.7 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via
    #   x
anyio==4.16.0 \\
    --hash=sha256:{b}
    # via y
""".format(a="a" * 64, b=hashlib.sha256(b"wheel").hexdigest())


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "requirements_lock.txt"
    file.write_text(LOCK)
    return file


def test_only_the_images_wheels_are_asked_for(lock: Path) -> None:
    found = wheels.pins(lock, ["Annotated.Doc==0.0.7"])

    assert wheels.requirements(found).startswith("annotated-doc==0.0.7 \\\n    --hash=sha256:aaa")
    assert "anyio" not in wheels.requirements(found)


def test_a_distribution_that_is_not_locked_is_named(lock: Path) -> None:
    with pytest.raises(BenchError, match="expected other, which the image has"):
        wheels.pins(lock, ["other==1"])


def test_another_version_stands_in_the_place_of_one_and_the_rest_stays(lock: Path) -> None:
    pin = wheels.named(wheels.pins(lock, ["annotated-doc==0.0.7"]), "annotated_doc")

    text = wheels.exchanged(LOCK, pin, replace(pin, version="0.0.6", hashes=("c" * 64,)))

    assert "0.0.7" not in text
    lock.write_text(text)
    assert [one.requirement for one in read(lock, "lock")] == [
        "annotated-doc==0.0.6",
        "anyio==4.16.0",
    ]
    with pytest.raises(BenchError, match="once in the lock"):
        wheels.exchanged(text, pin, pin)


def test_a_wheel_is_taken_from_the_store_by_its_hash(lock: Path, tmp_path: Path) -> None:
    pins = wheels.pins(lock, ["anyio==4.16.0"])
    place = tmp_path / "store/anyio==4.16.0-123"
    place.mkdir(parents=True)
    (place / "anyio-4.16.0-py3-none-any.whl").write_bytes(b"wheel")

    wheels.gather(pins, tmp_path / "store", tmp_path / "taken")

    assert [file.name for file in (tmp_path / "taken").iterdir()] == [
        "anyio-4.16.0-py3-none-any.whl"
    ]
    (place / "anyio-4.16.0-py3-none-any.whl").write_bytes(b"torn")
    with pytest.raises(BenchError, match=r"anyio==4\.16\.0 is missing"):
        wheels.gather(pins, tmp_path / "store", tmp_path / "taken")


def test_of_two_wheels_that_the_lock_allows_the_one_fetched_last_is_taken(
    tmp_path: Path,
) -> None:
    contents = {"abi3": b"fetched last", "cp313": b"fetched first"}
    hashes = " ".join(
        f"--hash=sha256:{hashlib.sha256(one).hexdigest()}" for one in contents.values()
    )
    lock = tmp_path / "lock.txt"
    lock.write_text(f"one==1.0 {hashes}\n")
    for time, (name, content) in enumerate(reversed(contents.items())):
        place = tmp_path / f"store/one==1.0-{name}"
        place.mkdir(parents=True)
        (place / f"one-1.0-{name}.whl").write_bytes(content)
        os.utime(place / f"one-1.0-{name}.whl", (time, time))

    wheels.gather(wheels.pins(lock, ["one==1.0"]), tmp_path / "store", tmp_path / "taken")

    assert [file.name for file in (tmp_path / "taken").iterdir()] == ["one-1.0-abi3.whl"]
