"""Tests of the lock's reader."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//rules/debian/private:lock.bzl", "read_lock")

_LINE = {
    "architecture": "amd64",
    "name": "libc6",
    "path": "pool/main/g/glibc/libc6.deb",
    "sha256": "a" * 64,
    "size": 7,
    "suite": "trixie",
    "version": "2.41",
}

def _lock(*lines):
    return '{\n"snapshots": {"debian": "20260101T000000Z"},\n"packages": [\n' + ",\n".join(lines) + "\n]\n}\n"

def _line(**changes):
    return json.encode(_LINE | changes)

def _error(*lines):
    return read_lock("lock.json", _lock(*lines)).error or ""

def _good_lock_is_read_impl(ctx):
    env = unittest.begin(ctx)
    lock = read_lock("lock.json", _lock(_line(), _line(architecture = "arm64")))
    asserts.equals(env, None, lock.error)
    asserts.equals(env, ["amd64", "arm64"], [package.architecture for package in lock.packages])
    asserts.equals(env, "20260101T000000Z", lock.snapshots["debian"])
    return unittest.end(env)

good_lock_is_read_test = unittest.make(_good_lock_is_read_impl)

def _bad_lines_are_told_with_their_number_impl(ctx):
    env = unittest.begin(ctx)
    for line, message in {
        _line()[:-2] + ",}": "not JSON",
        _line(architecture = "m68k"): "expected all, amd64 or arm64",
        _line(name = ""): "name is \"\"; expected a string",
        _line(path = "pool/../../etc/x.deb"): "expected a .deb below pool/",
        _line(sha256 = "abc"): "expected 64 hexadecimal digits",
        _line(size = "7"): "expected a int",
        _line(unknown = 1): "expected the fields",
        _line(): "stands in line 4 already",
    }.items():
        error = _error(_line(), line)
        asserts.true(env, error.startswith("lock.json:5: "), error)
        asserts.true(env, message in error, error)
        asserts.true(env, "//image:update" in error, error)
        asserts.true(env, "git checkout HEAD -- lock.json" in error, error)
    return unittest.end(env)

bad_lines_are_told_with_their_number_test = unittest.make(_bad_lines_are_told_with_their_number_impl)

def _another_layout_is_told_impl(ctx):
    env = unittest.begin(ctx)
    asserts.true(env, "lock.json:1: expected a JSON object" in read_lock("lock.json", "[]").error)
    return unittest.end(env)

another_layout_is_told_test = unittest.make(_another_layout_is_told_impl)

def lock_tests(name):
    """Makes the tests.

    Args:
      name: name of the suite.
    """
    unittest.suite(
        name,
        good_lock_is_read_test,
        bad_lines_are_told_with_their_number_test,
        another_layout_is_told_test,
    )
