"""The subcommands of ``python -m agropest``, one module each.

A module has ``HELP`` (one line), ``configure(parser)`` and ``run(arguments) -> exit code``. It imports what is heavy
inside ``run``, so that ``--help`` answers at once.
"""
