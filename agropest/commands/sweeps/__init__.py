"""Commands that plan and run a sweep, and the options that they share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agropest.tuning.launch import LaunchOptions


class _Settings(argparse.Action):
    """Collects every ``--set``, each with one or several ``KEY=VALUE``; a word without ``=`` is the sweep file."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        words: Sequence[str] = values
        settings, rest = [word for word in words if "=" in word], [word for word in words if "=" not in word]
        namespace.settings = [*namespace.settings, *settings]
        if not settings or len(rest) > 1:
            parser.error(f"argument --set: expected KEY=VALUE, got {' '.join(rest)!r}")
        if rest and getattr(namespace, "sweep", None) is not None:
            parser.error(f"argument --set: expected KEY=VALUE, got {rest[0]!r}")
        if rest:
            namespace.sweep = Path(rest[0])


class _Sweep(argparse.Action):
    """Takes the sweep file, wherever on the command line it stands."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        if values is not None:
            namespace.sweep = values


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """Adds the sweep file and what says which launch of it is meant."""
    parser.add_argument(
        "sweep", type=Path, nargs="?", action=_Sweep, metavar="SWEEP.yaml", help="the sweep file, e.g. sweeps/demo.yaml"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start the sweep's trials again; what is stored of them is set aside"
    )
    parser.add_argument("--retry-failed", action="store_true", help="try failed trials again, from their checkpoints")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data set's folder (over the file's `data:`)")
    parser.add_argument("--results", type=Path, metavar="DIR", default=Path("results"), help="default: results")
    parser.add_argument(
        "--set",
        action=_Settings,
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override settings: Detectron2 keys (SOLVER.MAX_ITER=100) or ones of the sweep file (resources.cpus=2)",
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        default="",
        help="of the folder in results; default: the sweep's, with what --set and --data change in the question added",
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help="of a running Ray cluster (host:6379, or auto); default: RAY_ADDRESS"
    )
    parser.set_defaults(parser=parser)


def launch_options(arguments: argparse.Namespace) -> LaunchOptions:
    """Returns what the arguments of :func:`add_sweep_options` say; without a sweep file the process ends with usage."""
    from agropest.tuning.launch import LaunchOptions
    from agropest.tuning.ray.connection import LOOPBACK, RayOptions

    if arguments.sweep is None:
        arguments.parser.error("the following arguments are required: SWEEP.yaml")
    host = getattr(arguments, "dashboard_host", LOOPBACK)
    ray = RayOptions(arguments.address, getattr(arguments, "dashboard", None), host)
    return LaunchOptions(arguments.sweep, arguments.data, arguments.results, arguments.settings, arguments.name, ray)
