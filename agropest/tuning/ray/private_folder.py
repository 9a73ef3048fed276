"""A folder of this launch alone for Ray's files and sockets, and surroundings in which Ray and torch can start.

Ray makes its own folders writable by everybody (mode 0777) and writes into them, readable by all, what its processes
are started with; so they lie in a folder closed to other users. A socket's path may have 107 bytes, which a TMPDIR
on a cluster's scratch disk uses up; and a container that runs as a number has no home folder, where Ray would keep its
token.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import util
from pathlib import Path

from agropest import files
from agropest.errors import EnvironmentFault, fault

# A socket's path has at most 107 bytes, of which Ray's session and file name, and our folder's name, take 84.
LONGEST_BASE = 23
AFTER_MULTIPROCESSING = -200  # which removes its own folder at -100
SHORT_BASES = ("/tmp", "/var/tmp", "/dev/shm")


@contextlib.contextmanager
def private_folder(say: Callable[[str], None]) -> Iterator[Path]:
    """Yields a new folder (mode 0700), which is removed at the end; sets what is missing in the environment meanwhile.

    Args:
        say: called when temporary files go elsewhere than the user has asked for.

    Raises:
        EnvironmentFault: there is no folder with a short enough path to write to.
    """
    usual = tempfile.gettempdir()
    base = _short_base(usual)
    folder = Path(tempfile.mkdtemp(prefix="agropest-", dir=base))
    changes: dict[str, str] = {}
    before: dict[str, str | None] = {}
    try:
        changes |= _home_for(folder)  # writes there, which fails where the disk is full
        if base != usual:
            say(f"TMPDIR ({usual}) is too long for a socket's path: temporary files of this launch go to {folder}")
            changes["TMPDIR"] = str(folder)
        before |= {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        tempfile.tempdir = None  # it is found anew
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        tempfile.tempdir = None
        if "TMPDIR" in changes:  # multiprocessing keeps its sockets in it until this process ends
            util.Finalize(None, shutil.rmtree, (folder, True), exitpriority=AFTER_MULTIPROCESSING)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def token_path() -> Path:
    """Returns where the token is with which Ray's processes know each other."""
    return files.without_tilde(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"))


def _short_base(usual: str) -> str:
    for base in (usual, *SHORT_BASES):
        if len(os.fsencode(base)) <= LONGEST_BASE and os.access(base, os.W_OK | os.X_OK):
            return base
    fix = "set TMPDIR to a short path that can be written to, such as /tmp"
    raise EnvironmentFault(
        fault("TMPDIR", f"expected a folder of at most {LONGEST_BASE} bytes for sockets", usual, fix)
    )


def _home_for(folder: Path) -> dict[str, str]:
    """Returns what a user without a name, or without a home folder to write to, lacks."""
    changes = {}
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        changes["LOGNAME"] = f"uid{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        changes["HOME"] = str(folder)
    if not any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) and not _has_or_takes_token():
        token = folder / "auth_token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        changes["RAY_AUTH_TOKEN_PATH"] = str(token)
    return changes


def _has_or_takes_token() -> bool:
    """Returns whether Ray finds its token in the home folder, or can write it there."""
    path = token_path()
    try:
        if path.exists():
            return os.access(path, os.R_OK)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return False
    return path.is_absolute() and os.access(path.parent, os.W_OK)
