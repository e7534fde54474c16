"""Serves the site of the documentation on this machine, until Ctrl-C."""

import argparse
import contextlib
import functools
import http.server
import sys

# The service itself has 8000.
HOST, PORT = "127.0.0.1", 8001
_HIGHEST_PORT = 65535


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"expected a port, 0 to {_HIGHEST_PORT}, got {text}")
    return int(text)


def main(arguments: list[str]) -> int:
    """Serves the folder that the arguments name, then the port if there is one."""
    parser = argparse.ArgumentParser(prog="tools/bazel run //docs:serve --", description=__doc__)
    parser.add_argument("folder", help=argparse.SUPPRESS)
    parser.add_argument("port", nargs="?", type=_port, default=PORT, help="0 for a free one")
    options = parser.parse_args(arguments)
    port: int = options.port
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=options.folder)
    try:
        server = http.server.ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        print(f"port {port}: {error.strerror}. Name another: tools/bazel run //docs:serve -- PORT",
              file=sys.stderr)  # fmt: skip
        return 1
    print(f"http://{HOST}:{server.server_address[1]}", flush=True)
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
