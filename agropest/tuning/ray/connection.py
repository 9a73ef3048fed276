"""The connection to Ray: a cluster of this machine alone for one launch, or one that is there already.

What this module starts listens on 127.0.0.1 and nowhere else: the dashboard, its agents, the metrics endpoints and the
gRPC servers of Ray's processes. Whoever reaches a Ray dashboard can run code with it, by design (CVE-2023-48022).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agropest import exit_codes
from agropest.errors import EnvironmentFault, fault
from agropest.tuning.ray.private_folder import token_path
from agropest.tuning.ray.ray_watch import dead_process, gone, speaks_grpc
from agropest.tuning.ray.rays_processes import kept_from_signals, shut_down_ray

logger = logging.getLogger(__name__)

# Read by Ray when it is imported, so set before that; what a user has set already wins.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing phones home
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0: no console output; ours is agropest.tuning.watch.progress
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # they import torch in the driver; trials write their own events
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: trials save a checkpoint first
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's notes, which nothing here reads: the store is the truth
    "RAY_memory_monitor_refresh_ms": "0",  # Ray's kill of one trial makes fit() raise
}
# Ray binds everything to 127.0.0.1 where it does not expect a cluster of several machines, which it does on Linux
# unless this says otherwise. `_node_ip_address="127.0.0.1"` does not: Ray replaces it by the outside address.
ONE_MACHINE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# What `pip install ray[default]` adds and the dashboard cannot do without.
DASHBOARD_PACKAGES = ("aiohttp", "aiohttp_cors", "colorful", "opencensus", "prometheus_client")
LOOPBACK = "127.0.0.1"
REACHED_WITHIN_S = 5.0

# A resource of Ray that every trial takes one of, where a sweep limits how many run at a time.
TRIAL_SLOT = "trial_slot"


@dataclass(frozen=True)
class RayOptions:
    """How a launch gets its Ray.

    Attributes:
        address: of a running cluster (``host:6379`` or ``auto``); None starts one here, for this launch.
        dashboard: whether to start Ray's dashboard; None: if its packages are installed.
        dashboard_host: the address the dashboard listens on.
    """

    address: str | None = None
    dashboard: bool | None = None
    dashboard_host: str = LOOPBACK

    @property
    def cluster(self) -> str:
        """The address of a running cluster, given or in RAY_ADDRESS; empty: one is started here."""
        address = self.address or os.environ.get("RAY_ADDRESS") or ""
        return "" if address == "local" else address

    def without_effect(self) -> list[str]:
        """Returns the options that a cluster which is there already takes no notice of."""
        given = {"--dashboard-host": self.dashboard_host != LOOPBACK}
        given |= {"--dashboard": self.dashboard is True, "--no-dashboard": self.dashboard is False}
        return [name for name, is_given in given.items() if is_given and self.cluster]

    def starts_dashboard(self) -> bool:
        """Returns whether the cluster started here has a dashboard.

        Raises:
            EnvironmentFault: it was asked for and its packages are missing.
        """
        # What an earlier round of this launch has imported is there, and may have no spec to find (colorful).
        missing = [n for n in DASHBOARD_PACKAGES if n not in sys.modules and importlib.util.find_spec(n) is None]
        if missing and self.dashboard:
            fix = 'pip install "ray[default]", or leave --dashboard out'
            raise EnvironmentFault(fault("--dashboard", "expected Ray's dashboard packages", missing, fix))
        return self.dashboard if self.dashboard is not None else not missing


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches what listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def exposure_warning(host: str) -> str:
    """Returns what a person must know before a dashboard listens elsewhere; empty on loopback."""
    if is_loopback(host):
        return ""
    return (
        f"WARNING: the Ray dashboard listens on {host}. Whoever reaches it and has the token can run any code on this "
        "machine, by design (CVE-2023-48022). Keep Ray's token authentication on, or leave --dashboard-host out and "
        "use an SSH tunnel (docs/clusters.md)."
    )


def require_token(host: str) -> str:
    """Refuses a Ray of this machine that people elsewhere could use without its token.

    Returns:
        What a person must know where it is started without one all the same; else empty.

    Raises:
        EnvironmentFault: token authentication is off, and the dashboard is to listen elsewhere.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode.lower() == "token":
        return ""
    if not is_loopback(host):
        fix = "unset RAY_AUTH_MODE, or leave --dashboard-host out"
        rule = f"a dashboard on {host} is for those who have Ray's token"
        raise EnvironmentFault(fault("RAY_AUTH_MODE", rule, mode, fix))
    return (
        f"WARNING: RAY_AUTH_MODE={mode} turns Ray's token off: every user of this machine can run code as you, through "
        "the dashboard or the code that Ray keeps for its workers. Unset it."
    )


@contextlib.contextmanager
def connected(
    options: RayOptions, say: Callable[[str, bool], None], folder: Path | None = None, max_concurrent: int = 0
) -> Iterator[str]:
    """Connects to Ray for the duration; yields the dashboard's address, empty where there is none.

    Args:
        options: which Ray.
        say: called with what happens, for the person who waits, and whether that is of no interest once a trial runs.
        folder: of this launch alone, for the files and sockets of a Ray that is started; None: Ray's own, which
            everybody may write to.
        max_concurrent: trials at a time: so many of ``TRIAL_SLOT`` are there for them; 0: none is asked for.

    Raises:
        EnvironmentFault: there is no cluster at the address, or packages are missing.
    """
    address = options.cluster
    own = not address
    # A cluster at 127.0.0.1 is one of this machine alone; Ray would look for it at the outside address.
    alone = own or is_loopback(str(address).rpartition(":")[0])
    wanted = {**ENVIRONMENT, **(ONE_MACHINE if alone else {})}
    os.environ.update({name: os.environ.get(name, value) for name, value in wanted.items()})
    dashboard = options.starts_dashboard() if own else None
    # Said before anything listens. Without a dashboard, too, others could overwrite the pickled code in Ray's GCS.
    host = options.dashboard_host if dashboard else LOOPBACK  # a cluster decides on its own
    for warning in (require_token(host), exposure_warning(host)):
        if warning:
            say(warning, False)
    if ignored := options.without_effect():
        say(f"the cluster at {address} decides on its dashboard: {', '.join(ignored)} changes nothing", False)
    started: dict[str, Any] = {"include_dashboard": dashboard, "dashboard_host": options.dashboard_host} if own else {}
    if max_concurrent:
        if not own:
            rule = "expected none on a cluster, which knows nothing of it"
            fix = "ask for more CPUs of each trial instead, or start a cluster of that size"
            raise EnvironmentFault(fault("resources.max_concurrent", rule, max_concurrent, fix))
        started["resources"] = {TRIAL_SLOT: max_concurrent}
    if own and folder is not None:
        started["_temp_dir"] = str(folder / "ray")
    import ray

    say("starting Ray" if own else f"connecting to Ray at {address}", True)
    try:
        if not own:
            where = "--address" if options.address else "RAY_ADDRESS"
            _require_reachable(address, where)
            _require_ray(address, where)
        with contextlib.ExitStack() as around:
            around.enter_context(_sigterm_stays_ours())
            if own:
                around.enter_context(_agent_on_any_port())
                around.enter_context(kept_from_signals())
            context = ray.init(
                address="local" if own else address,
                **started,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
            )
    except ConnectionError as error:
        if not own:
            fix = "give the address of a running cluster (host:6379), or leave --address out"
            raise EnvironmentFault(fault("--address", "expected a Ray cluster", str(error), fix)) from None
        raise _not_started(error) from None
    except Exception as error:  # Ray has no type for it: as a rule one of its processes has died on the way
        if not own or type(error) not in (Exception, RuntimeError, TimeoutError):
            raise
        raise _not_started(error) from None
    try:
        _protect_token()
        _propagate_no_secrets()
        yield f"http://{context.dashboard_url}" if context.dashboard_url else ""
    finally:
        with _interrupt_ends_at_once():
            shut_down_ray()


def _require_reachable(address: str, where: str) -> None:
    """Refuses the address of a cluster at which nothing listens: Ray would try for minutes, and say nothing.

    Args:
        address: ``host:port`` or ``auto``.
        where: it was given.

    Raises:
        EnvironmentFault: it cannot be connected to.
    """
    try:
        socket.create_connection(_host_and_port(address), REACHED_WITHIN_S).close()
    except (OSError, OverflowError, ValueError) as error:
        reason = f"{address}: {getattr(error, 'strerror', None) or error}"
        fix = f"give the address of a running cluster (host:6379), or leave {where} out"
        raise EnvironmentFault(fault(where, "expected a Ray cluster", reason, fix)) from None


def _require_ray(address: str, where: str) -> None:
    """Refuses an address where something else than Ray listens: ``ray.init`` would wait for it without end.

    Raises:
        EnvironmentFault: it does not speak Ray's protocol.
    """
    try:
        is_ray = speaks_grpc(*_host_and_port(address), REACHED_WITHIN_S)
    except (OSError, OverflowError, ValueError):
        return  # it has gone since it was reached; ray.init says so
    if not is_ray:
        fix = f"give the address of a running cluster (host:6379; `ray status` tells it), or leave {where} out"
        raise EnvironmentFault(fault(where, "expected a Ray cluster", f"{address}: something else listens there", fix))


def _host_and_port(address: str) -> tuple[str, int]:
    """Returns where a cluster listens.

    Raises:
        ValueError: there is no port in its address.
    """
    from ray._private.services import canonicalize_bootstrap_address

    # auto: where the last one was started
    found = address if ":" in address else str(canonicalize_bootstrap_address(address))
    host, _, port = found.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        raise ValueError("no port in it")
    return host.strip("[]"), int(port)


def _propagate_no_secrets() -> None:
    """Keeps AWS keys out of the runtime environments of Tune's actors, which Ray writes to files that others read."""
    from ray.tune.execution import class_cache

    kept = {name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")}
    class_cache.ENV_VARS_TO_PROPAGATE = kept


def _not_started(error: Exception) -> EnvironmentFault:
    logger.exception("Ray did not start")
    fix = "see launch.log in the sweep's folder; a machine that was out of memory or very busy: launch again"
    return EnvironmentFault(fault("Ray", "expected it to start", str(error).strip(), fix))


@contextlib.contextmanager
def _interrupt_ends_at_once() -> Iterator[None]:
    """Nothing is left to save: Ctrl-C while Ray is shut down ends the process, and Ray's with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(exit_codes.BY_PERSON))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def require_own_ray() -> None:
    """Checks that the Ray that this process has started is still there; costs next to nothing.

    Raises:
        EnvironmentFault: one of its processes was killed; it would take Ray half a minute to find out.
    """
    if name := dead_process():
        raise EnvironmentFault(gone(name))


@contextlib.contextmanager
def _sigterm_stays_ours() -> Iterator[None]:
    """Keeps ``ray.init`` from replacing the handler of SIGTERM: its own ends the process at once, with exit code 15."""
    from ray._private import utils

    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


@contextlib.contextmanager
def _agent_on_any_port() -> Iterator[None]:
    """Lets the agent behind the Logs page take a free port.

    Ray's is 52365 and ``ray.init`` has no option for it: the agent of a second sweep on the machine would give up.
    """
    from ray._private import parameter

    whole = parameter.RayParams
    parameter.RayParams = functools.partial(whole, dashboard_agent_listen_port=0)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        parameter.RayParams = whole  # type: ignore[misc]


def _protect_token() -> None:
    """Makes the token with which Ray's processes know each other readable by its owner alone; Ray writes it 0644."""
    path = token_path()
    with contextlib.suppress(OSError):
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
