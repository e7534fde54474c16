"""What is counted of an image, and pushed for it."""

from pathlib import Path

from bench import images
from tests.oci import samples

METADATA = b"Metadata-Version: 2.1\nName: Some_Thing\nVersion: 1.2\n"


def test_only_blobs_that_are_new_are_pushed(tmp_path: Path) -> None:
    common = [samples.file("/usr/lib/a", b"a" * 1000)]
    before = samples.write(tmp_path / "a", [common, [samples.file("/app/x", b"1")]])
    after = samples.write(tmp_path / "b", [common, [samples.file("/app/x", b"2")]])

    first, second = images.blobs(before), images.blobs(after)

    assert len(first.keys() & second.keys()) == 1
    new = second.keys() - first.keys()
    assert images.pushed(first, second) == sum(second[one] for one in new)
    assert images.pushed(first, first) == 0


def test_blobs_of_former_images_are_not_of_the_image(tmp_path: Path) -> None:
    folder = samples.write(tmp_path / "a", [[samples.file("/x")]])
    (folder / "blobs/sha256" / ("0" * 64)).write_bytes(b"left")

    assert len(images.blobs(folder)) == 3
    assert images.digest(folder) in images.blobs(folder)


def test_files_keep_their_times_so_that_byte_code_counts(tmp_path: Path) -> None:
    folder = samples.write(tmp_path / "a", [[samples.file("/usr/x.py", b"", modified=1234567)]])

    images.unpack(folder, tmp_path / "root")

    assert (tmp_path / "root/usr/x.py").stat().st_mtime == 1234567


def test_packages_are_counted_with_and_without_a_package_manager(tmp_path: Path) -> None:
    status = (
        b"Package: a\nStatus: install ok installed\n\nPackage: b\nStatus: deinstall ok config\n"
    )
    wheel = samples.file("/venv/lib/some_thing-1.2.dist-info/METADATA", METADATA)
    managed = [samples.file("/var/lib/dpkg/status", status), wheel]
    single = [
        samples.file("/var/lib/dpkg/status.d/a"),
        samples.file("/var/lib/dpkg/status.d/a.md5sums"),
        samples.file("/var/lib/dpkg/status.d/b"),
        wheel,
    ]
    for name, entries in (("managed", managed), ("single", single)):
        images.unpack(samples.write(tmp_path / name, [entries]), tmp_path / f"{name}-root")

    assert images.packages(tmp_path / "managed-root") == 2
    assert images.packages(tmp_path / "single-root") == 3
    assert images.distributions(tmp_path / "single-root") == ["Some_Thing==1.2"]
    assert images.files(tmp_path / "single-root") == 4
