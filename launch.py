#!/usr/bin/env python3
"""Runs or continues one sweep: ``python launch.py sweeps/demo.yaml``; the same as ``agropest launch``."""

import sys

from agropest import command_line


def main(argv: list[str] | None = None) -> int:
    """Runs the command ``launch``; returns its exit code."""
    return command_line.main(["launch", *(sys.argv[1:] if argv is None else argv)], prog="launch.py")


if __name__ == "__main__":
    sys.exit(main())
