"""Tests of the reader of packages.toml's groups."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//rules/debian/private:groups.bzl", "read_groups", "unlocked")

_GOOD = """\
# A comment.
suites = ["trixie"]

[base]
tzdata = "zoneinfo"
"libbz2-1.0" = "bz2"

[python]
python3 = "interpreter, the only one"
"""

def _groups_are_read_impl(ctx):
    env = unittest.begin(ctx)
    result = read_groups("packages.toml", _GOOD)
    asserts.equals(env, None, result.error)
    asserts.equals(env, {"base": ["libbz2-1.0", "tzdata"], "python": ["python3"]}, result.groups)
    return unittest.end(env)

groups_are_read_test = unittest.make(_groups_are_read_impl)

def _bad_lines_are_told_with_their_number_impl(ctx):
    env = unittest.begin(ctx)
    for line, message in {
        "[base]": "the group base comes a second time",
        "tzdata = \"again\"": "tzdata stands in line 5 already",
        "libc6 = 1": "expected NAME = \"REASON\"",
        "libc6 = \"\"": "expected NAME = \"REASON\"",
        "libbz2-1.1 = \"no quotes\"": "a name with a dot in quotes",
        "libc6": "expected NAME = \"REASON\"",
    }.items():
        error = read_groups("packages.toml", _GOOD + line).error or ""
        asserts.true(env, error.startswith("packages.toml:10: "), error)
        asserts.true(env, message in error, error)
    return unittest.end(env)

bad_lines_are_told_with_their_number_test = unittest.make(_bad_lines_are_told_with_their_number_impl)

def _what_the_lock_lacks_is_named_once_impl(ctx):
    env = unittest.begin(ctx)
    groups = {"a": ["tzdata", "new"], "b": ["newer", "new"]}
    asserts.equals(env, ["new", "newer"], unlocked(groups, {"tzdata": ["all"]}))
    return unittest.end(env)

what_the_lock_lacks_is_named_once_test = unittest.make(_what_the_lock_lacks_is_named_once_impl)

def groups_tests(name):
    """Makes the tests.

    Args:
      name: name of the suite.
    """
    unittest.suite(
        name,
        groups_are_read_test,
        bad_lines_are_told_with_their_number_test,
        what_the_lock_lacks_is_named_once_test,
    )
