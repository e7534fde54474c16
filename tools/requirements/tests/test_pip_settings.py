"""pip's settings are read where pip reads them, and told to uv."""

import os
from pathlib import Path

import pytest

from tools.locks.error import LockError
from tools.requirements import pip_settings
from tools.requirements.pip_settings import Settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def write(root: Path, place: str, text: str) -> None:
    file = root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_settings_uv_is_told_nothing(root: Path) -> None:
    settings = pip_settings.read({"HOME": "/home/one"}, root)
    assert settings.uv_options() == [[]]
    assert settings.uv_environment() == {}


def test_the_persons_file_wins_over_the_machines(root: Path) -> None:
    write(root, "etc/pip.conf", "[global]\nindex-url = http://machine/\ntimeout = 5\n")
    write(root, "home/one/.config/pip/pip.conf", "[global]\nindex_url = http://person/\n")
    settings = pip_settings.read({"HOME": "/home/one"}, root)
    assert (settings.index, settings.timeout) == ("http://person/", "5")


def test_the_environment_wins_over_files(root: Path) -> None:
    write(root, "etc/pip.conf", "[global]\nindex-url = http://machine/\n")
    assert pip_settings.read({"PIP_INDEX_URL": "http://now/"}, root).index == "http://now/"


def test_the_section_of_a_command_wins_over_the_global_one(root: Path) -> None:
    write(root, "etc/pip.conf", "[download]\nproxy = b:1\n[global]\nproxy = a:1\n")
    assert pip_settings.read({}, root).proxy == "b:1"


def test_a_chosen_file_is_read_last(root: Path) -> None:
    write(root, "etc/pip.conf", "[global]\nindex-url = http://machine/\n")
    write(root, "chosen", "[global]\nindex-url = http://chosen/\n")
    assert pip_settings.read({"PIP_CONFIG_FILE": "/chosen"}, root).index == "http://chosen/"


def test_no_file_is_read_where_the_null_device_is_chosen(root: Path) -> None:
    write(root, "etc/pip.conf", "[global]\nindex-url = http://machine/\n")
    assert pip_settings.read({"PIP_CONFIG_FILE": os.devnull}, root).index is None


def test_lists_stand_on_lines_of_their_own(root: Path) -> None:
    write(root, "etc/pip.conf", "[global]\nextra-index-url =\n    http://a/\n    http://b/\n")
    assert pip_settings.read({}, root).extra_indexes == ("http://a/", "http://b/")


def test_a_named_index_comes_before_the_extra_ones() -> None:
    settings = Settings(index="http://a/", extra_indexes=("http://b/", "http://c/"))
    (options,) = settings.uv_options()
    assert options[:3] == ["--index=http://a/", "--index=http://b/", "--default-index=http://c/"]


def test_an_index_alone_takes_the_place_of_the_default_one() -> None:
    (options,) = Settings(index="http://a/").uv_options()
    assert options[0] == "--default-index=http://a/"


def test_the_default_index_is_asked_before_the_extra_ones() -> None:
    alone, together = Settings(extra_indexes=("http://b/",)).uv_options()
    assert alone == []
    assert together[0] == "--index=http://b/"


def test_folders_of_wheels_are_given_to_uv_where_they_exist(tmp_path: Path) -> None:
    settings = Settings(links=(str(tmp_path), f"{tmp_path}/none"), no_index=True)
    assert settings.uv_options() == [["--no-index", f"--find-links={tmp_path}"]]


def test_certificates_and_proxy_reach_uv(root: Path) -> None:
    environment = {"PIP_CERT": "/ca.pem", "PIP_PROXY": "http://p:1", "PIP_TRUSTED_HOST": "h"}
    settings = pip_settings.read(environment, root)
    assert settings.uv_environment() == {"SSL_CERT_FILE": "/ca.pem", "ALL_PROXY": "http://p:1"}
    assert settings.uv_options() == [["--allow-insecure-host=h"]]


@pytest.mark.parametrize("text", ["index-url = http://machine/\n", "[global]\na = 1\na = 2\n"])
def test_a_file_that_pip_could_not_read_is_named(root: Path, text: str) -> None:
    write(root, "etc/pip.conf", text)
    with pytest.raises(LockError, match=rf"{root}/etc/pip\.conf: expected settings of pip: "):
        pip_settings.read({}, root)
