"""``python -m agropest COMMAND``, the same as ``agropest COMMAND`` where the package is installed."""

import sys

from agropest.command_line import main

if __name__ == "__main__":
    sys.exit(main())
