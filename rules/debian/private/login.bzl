"""Takes name and password out of a mirror's URI, where apt lets a person put them."""

# The characters from 0x20 on, in their order: Starlark has no chr().
_ASCII = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
_DIGITS = "0123456789abcdef"

def _decoded(text):
    """A text without percent-encoding (RFC 3986, section 2.1); what is no ASCII stays as it is."""
    first, rest = text.split("%")[0], text.split("%")[1:]
    decoded = [first]
    for part in rest:
        high, low = [_DIGITS.find(digit) for digit in (part[:2].lower() + "xx")[:2].elems()]
        at = 16 * high + low - 32
        known = high >= 0 and low >= 0 and 0 <= at and at < len(_ASCII)
        decoded.append(_ASCII[at] + part[2:] if known else "%" + part)
    return "".join(decoded)

def split_login(uri):
    """A URI without the login in it, and what `download` takes as `auth` for it.

    Bazel sends no login that stands in a URI, and every error would show it.

    Args:
      uri: a mirror's.

    Returns:
      A struct of `uri` and `auth`, which is None where there is no login.
    """
    scheme, separator, rest = uri.partition("://")
    place, slash, path = rest.partition("/")
    login, at, host = place.rpartition("@")
    if not at:
        return struct(uri = uri, auth = None)
    name, _, password = login.partition(":")
    return struct(
        uri = scheme + separator + host + slash + path,
        auth = {"type": "basic", "login": _decoded(name), "password": _decoded(password)},
    )

def sources(mirrors, path):
    """Where a file can be, on each mirror.

    Args:
      mirrors: their URIs, as a person has them.
      path: of the file, below each.

    Returns:
      A struct of `urls`, none of which has a login; `auth`, what `download` takes with them; and
      `with_login`, by URL, for programs that take a login in it.
    """
    urls, auth, with_login = [], {}, {}
    for mirror in mirrors:
        found = split_login(mirror)
        url = "{}/{}".format(found.uri, path)
        urls.append(url)
        if found.auth:
            auth[url] = found.auth
            with_login[url] = "{}/{}".format(mirror, path)
    return struct(auth = auth, urls = urls, with_login = with_login)
