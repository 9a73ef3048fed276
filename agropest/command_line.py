"""The one command line: ``agropest COMMAND``, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType

from agropest import __version__, commands, exit_codes
from agropest.errors import AgropestError, fault, missing_package


def find_commands() -> dict[str, ModuleType]:
    """Returns every module of ``agropest.commands`` by the name of its command, in alphabetical order."""
    infos = [info for info in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}.") if not info.ispkg]
    modules = {info.name.rpartition(".")[2].replace("_", "-"): info.name for info in infos}
    return {name: importlib.import_module(modules[name]) for name in sorted(modules)}


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser with one subcommand for every command and each of its aliases."""
    parser = argparse.ArgumentParser(prog="agropest", description="Sweeps of object detectors, and tools around them.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in find_commands().items():
        aliases = getattr(module, "ALIASES", ())
        subparser = subparsers.add_parser(name, aliases=aliases, help=module.HELP, description=module.HELP)
        _configure(subparser, module)
    return parser


def command_parser(name: str, prog: str) -> argparse.ArgumentParser:
    """Returns the parser of one command alone, for a script that is only that command.

    Args:
        name: of the command.
        prog: the script's name, for its usage.
    """
    module = find_commands()[name]
    parser = argparse.ArgumentParser(prog=prog, description=module.HELP)
    _configure(parser, module)
    return parser


def _configure(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    parser.epilog = getattr(module, "EPILOG", None)
    module.configure(parser)
    parser.set_defaults(run=module.run)


def main(argv: Sequence[str] | None = None, prog: str = "") -> int:
    """Runs one command; returns its exit code.

    Args:
        argv: the command and its arguments; None: the process's.
        prog: name of a script that is only the command ``argv`` begins with; empty: of none.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = command_parser(words.pop(0), prog) if prog else build_parser()
    arguments = parser.parse_args(words)
    try:
        return int(arguments.run(arguments))
    except AgropestError as error:
        for line in error.faults:
            print(f"error: {line}", file=sys.stderr)
        return exit_codes.FAULT
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error)}", file=sys.stderr)
        return exit_codes.FAULT
    except KeyboardInterrupt:
        return exit_codes.BY_PERSON
    except BrokenPipeError:  # `... | head`
        sys.stderr.close()
        return exit_codes.OK
    except OSError as error:  # a full disk, a folder that has gone; what is stored already is intact (agropest.files)
        place = str(error.filename or getattr(arguments, "results", "") or "this command")
        fix = f"{_mending(error.errno)}, and give the command again: it continues from what is stored"
        what = error.strerror or str(error)
        print(f"error: {fault(place, 'expected to be able to use it', what, fix)}", file=sys.stderr)
        return exit_codes.FAULT


def _mending(number: int | None) -> str:
    """Returns what to do about an error of the operating system."""
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room there"
    if number in (errno.EACCES, errno.EPERM):
        return f"give the user that runs this (number {os.getuid()}) the right to it"
    return "mend that"
