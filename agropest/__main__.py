"""``python -m agropest COMMAND``: see ``agropest.commands``."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

from agropest import __version__, commands
from agropest.errors import AgropestError, missing_package


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser with one subcommand for every module of ``agropest.commands``."""
    parser = argparse.ArgumentParser(prog="python -m agropest", description="Tools around sweeps of object detectors.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    found = [info for info in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}.") if not info.ispkg]
    for info in sorted(found, key=lambda info: info.name.rpartition(".")[2]):
        module = importlib.import_module(info.name)
        name = info.name.rpartition(".")[2].replace("_", "-")
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.configure(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code, 2 after a fault of the input, 130 after Ctrl-C."""
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except AgropestError as error:
        for line in error.faults:
            print(f"error: {line}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `... | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
