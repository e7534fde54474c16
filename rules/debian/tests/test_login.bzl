"""Tests of what is taken out of a mirror's URI."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//rules/debian/private:login.bzl", "sources", "split_login")

def _uri_without_a_login_stays_impl(ctx):
    env = unittest.begin(ctx)
    for uri in ["http://mirror/debian", "https://mirror:8443/a@b/debian", "file:/mirror"]:
        asserts.equals(env, struct(uri = uri, auth = None), split_login(uri))
    return unittest.end(env)

uri_without_a_login_stays_test = unittest.make(_uri_without_a_login_stays_impl)

def _login_is_for_the_download_and_not_for_errors_impl(ctx):
    env = unittest.begin(ctx)
    for login, name, password in [
        ("me:secret", "me", "secret"),
        ("me:se%2Fcr%40%3aet%25", "me", "se/cr@:et%"),
        ("me", "me", ""),
        ("me:100%", "me", "100%"),
        ("me:%zz%e9", "me", "%zz%e9"),
    ]:
        found = split_login("https://{}@mirror:8443/debian".format(login))
        asserts.equals(env, "https://mirror:8443/debian", found.uri)
        asserts.equals(env, {"type": "basic", "login": name, "password": password}, found.auth)
    return unittest.end(env)

login_is_for_the_download_and_not_for_errors_test = unittest.make(_login_is_for_the_download_and_not_for_errors_impl)

def _every_mirror_has_its_own_login_impl(ctx):
    env = unittest.begin(ctx)
    found = sources(["http://me:secret@one/debian", "file:/two", "https://you:word@three"], "pool/x.deb")
    asserts.equals(env, ["http://one/debian/pool/x.deb", "file:/two/pool/x.deb", "https://three/pool/x.deb"], found.urls)
    asserts.equals(env, {
        "http://one/debian/pool/x.deb": {"type": "basic", "login": "me", "password": "secret"},
        "https://three/pool/x.deb": {"type": "basic", "login": "you", "password": "word"},
    }, found.auth)
    asserts.equals(env, {
        "http://one/debian/pool/x.deb": "http://me:secret@one/debian/pool/x.deb",
        "https://three/pool/x.deb": "https://you:word@three/pool/x.deb",
    }, found.with_login)
    return unittest.end(env)

every_mirror_has_its_own_login_test = unittest.make(_every_mirror_has_its_own_login_impl)

def login_tests(name):
    """Makes the tests.

    Args:
      name: name of the suite.
    """
    unittest.suite(
        name,
        uri_without_a_login_stays_test,
        login_is_for_the_download_and_not_for_errors_test,
        every_mirror_has_its_own_login_test,
    )
