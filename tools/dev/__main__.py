"""The whole of a service on this machine, without Docker: `tools/bazel run //:dev`.

Serves, and starts the service anew when a source changes. Before, as far as the service has to do
with them: PostgreSQL on a database that is kept between runs, an AI service that answers (unless
AI_BASE_URL names one), migrations. Settings of the service come from the environment; PORT, 8000 by
default, is where it listens.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from tools.dev.folder import Folder, FolderError, place
from tools.dev.guardian import Guardian
from tools.dev.output import Output
from tools.dev.sources import Sources
from tools.dev.stack import Service, Stack, StackError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Runs it until a signal, then returns 0; 1 where it cannot run, 2 for a wrong option."""
    parser = argparse.ArgumentParser(
        prog="tools/bazel run //:dev --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--service", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--postgres", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ai", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--fresh", action="store_true", help="begin with an empty database")
    arguments = parser.parse_args()
    if arguments.fresh and arguments.postgres is None:
        parser.error("--fresh: this service has no database that could be begun anew")
    output = Output(sys.stdout, colours=_wants_colours())
    # Before anything that it would keep open.
    guardian = Guardian()
    try:
        return _run(arguments, output, guardian)
    except (FolderError, StackError) as error:
        output.line("dev", str(error))
        return 1
    finally:
        guardian.close()


def _run(arguments: argparse.Namespace, output: Output, guardian: Guardian) -> int:
    service = Service.read(arguments.service)
    directory = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if directory is None:
        raise StackError("this program is started by `tools/bazel run //:dev`")
    workspace = Path(directory).resolve()
    if not Sources(workspace, service.folders).paths():
        raise StackError(f"{workspace} has no {' and no '.join(service.folders)}")
    path = place(os.environ, workspace, service.name)
    folder = Folder(path)
    try:
        if arguments.fresh:
            folder.begin_anew()
            output.line("dev", f"removed the database in {path}")
        with Stack(service, workspace, os.environ, output, guardian) as stack:
            for number in _SIGNALS:
                # What nohup(1) has ignored stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, stack.on_signal)
            stack.choose_port()
            if arguments.postgres is not None:
                stack.start_database(arguments.postgres.resolve(), path, folder.lock)
            if arguments.ai:
                stack.start_ai()
            stack.prepare(path / "pyc")
            return stack.run()
    finally:
        folder.close()


def _wants_colours() -> bool:
    # https://no-color.org
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not unwanted


if __name__ == "__main__":
    sys.exit(main())
