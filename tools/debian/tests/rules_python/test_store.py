"""Wheels are fetched once for all who ask, and checked each time."""

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.debian.modules.rules_python.wheels import index, store
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.index import Wanted
from tools.debian.modules.rules_python.wheels.store import Store
from tools.debian.modules.rules_python.wheels.target import Target
from tools.debian.tests.rules_python import wheel

X86, ARM = (Target.of(f"linux_{cpu}", "3.13") for cpu in ("x86_64", "aarch64"))


class Index:
    """Stands in for pip: serves every package but `bad`, and remembers what was asked at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[list[str]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def wanted(self, name: str, version: str = "1.0") -> Wanted:
        path = wheel.make(self.folder, f"{name}-{version}-py3-none-any.whl")
        return Wanted(f"{name}=={version}", (hashlib.sha256(path.read_bytes()).hexdigest(),))

    def download(self, many: list[Wanted], target: Target, folder: Path) -> list[Path]:
        asked = sorted(wanted.requirement.split("==") for wanted in many)
        names = [name for name, _ in asked]
        self.runs.append(names)
        self.may_go_on.wait(10)
        if "bad" in names or len(set(names)) < len(names):
            raise WheelError("bad, or a conflict")
        return [wheel.make(folder, f"{name}-{version}-py3-none-any.whl") for name, version in asked]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    fake = Index(tmp_path / "index")
    monkeypatch.setattr(index, "download", fake.download)
    return fake


def test_a_wheel_is_fetched_once(tmp_path: Path, pip: Index) -> None:
    one = pip.wanted("one")
    assert Store(tmp_path, X86).wheel(one) == Store(tmp_path, X86).wheel(one)
    assert pip.runs == [["one"]]


def test_each_target_has_its_own(tmp_path: Path, pip: Index) -> None:
    one = pip.wanted("one")
    assert Store(tmp_path, X86).wheel(one) != Store(tmp_path, ARM).wheel(one)
    assert pip.runs == [["one"], ["one"]]


def test_what_was_fetched_by_another_preference_is_not_taken(
    tmp_path: Path, pip: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pip.wanted("one")
    with monkeypatch.context() as before:
        before.setattr(store, "_PREFERENCE", "interpreter, ABI, platform")
        Store(tmp_path, X86).wheel(one)
    Store(tmp_path, X86).wheel(one)
    assert pip.runs == [["one"], ["one"]]


def test_a_file_that_was_changed_is_fetched_again(tmp_path: Path, pip: Index) -> None:
    one = pip.wanted("one")
    path = Store(tmp_path, X86).wheel(one)
    path.write_text("changed")
    assert index.sha256(Store(tmp_path, X86).wheel(one)) == one.hashes[0]


def test_a_broken_copy_is_named_where_no_new_one_can_be_had(
    tmp_path: Path, pip: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pip.wanted("one")
    held = Store(tmp_path, X86).wheel(one)
    held.write_bytes(b"torn")

    def offline(*_: object) -> list[Path]:
        raise WheelError("no index answers")

    monkeypatch.setattr(index, "download", offline)

    with pytest.raises(WheelError, match=rf"^{held}: .* is broken[\s\S]*no index answers"):
        Store(tmp_path, X86).wheel(one)


def fetch_at_once(folder: Path, pip: Index, first: Wanted, others: list[Wanted]) -> None:
    """Has the others ask while the first is being fetched."""
    pip.may_go_on.clear()
    fetching = [
        threading.Thread(target=Store(folder, X86).wheel, args=[one]) for one in (first, *others)
    ]
    requests = folder / "linux_x86_64-3.13/requests"
    fetching[0].start()
    until(lambda: bool(pip.runs))
    for thread in fetching[1:]:
        thread.start()
    until(lambda: len(list(requests.iterdir())) == len(others))
    pip.may_go_on.set()
    for thread in fetching:
        thread.join(10)
    assert not list(requests.iterdir())


def test_those_who_wait_are_served_together(tmp_path: Path, pip: Index) -> None:
    fetch_at_once(tmp_path, pip, pip.wanted("one"), [pip.wanted(name) for name in ("two", "three")])
    assert pip.runs == [["one"], ["three", "two"]]


def test_one_whose_wheel_came_meanwhile_leaves_the_others_together(
    tmp_path: Path, pip: Index
) -> None:
    one = pip.wanted("one")
    fetch_at_once(tmp_path, pip, one, [one, pip.wanted("two"), pip.wanted("three")])
    assert pip.runs == [["one"], ["three", "two"]]


def test_of_two_versions_each_has_a_run_of_its_own(tmp_path: Path, pip: Index) -> None:
    others = [pip.wanted("two"), pip.wanted("two", "2.0"), pip.wanted("three")]
    fetch_at_once(tmp_path, pip, pip.wanted("one"), others)
    assert sorted(map(len, pip.runs)) == [1, 1, 2]


def test_one_that_cannot_be_had_does_not_stop_the_others(tmp_path: Path, pip: Index) -> None:
    left = Store(tmp_path, X86)
    with pytest.raises(WheelError):
        left.wheel(pip.wanted("bad"))
    request = tmp_path / "linux_x86_64-3.13/requests/bad"
    request.write_text('["bad==1.0", []]')
    assert left.wheel(pip.wanted("one")).name == "one-1.0-py3-none-any.whl"
    assert pip.runs == [["bad"], ["bad", "one"], ["one"]]


def test_requests_of_builds_that_are_gone_are_forgotten(
    tmp_path: Path, pip: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = tmp_path / "linux_x86_64-3.13/requests"
    requests.mkdir(parents=True)
    (requests / "old").write_text('["old==1.0", []]')
    monkeypatch.setattr(store, "_PATIENCE", -1)
    Store(tmp_path, X86).wheel(pip.wanted("one"))
    assert pip.runs == [["one"]]
    assert not list(requests.iterdir())


def test_a_wheel_of_another_hash_is_refused_whatever_pip_thinks_of_it(
    tmp_path: Path, pip: Index
) -> None:
    one = Wanted(pip.wanted("one").requirement, ("0" * 64,))
    with pytest.raises(WheelError, match=r"one==1\.0: wrong sha256"):
        Store(tmp_path, X86).wheel(one)


def test_nothing_half_fetched_is_left(tmp_path: Path, pip: Index) -> None:
    with pytest.raises(WheelError):
        Store(tmp_path, X86).wheel(pip.wanted("bad"))
    assert sorted(path.name for path in (tmp_path / "linux_x86_64-3.13").iterdir()) == [
        "lock",
        "requests",
    ]


def test_the_store_is_below_the_persons_cache_folder() -> None:
    home = store.default_folder({"HOME": "/home/one"})
    assert home == Path("/home/one/.cache/bazel-debian/wheels")
    chosen = store.default_folder({"HOME": "/home/one", "XDG_CACHE_HOME": "/cache"})
    assert chosen == Path("/cache/bazel-debian/wheels")
