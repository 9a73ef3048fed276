"""``make screenshots``: the pictures of docs/images, made from a real sweep by headless Chromium.

    python docs/make_screenshots.py [--sweep sweeps/demo.yaml] [--set KEY=VALUE] [--data DIR]

Launches the whole sweep into a temporary folder; once a trial has finished and another runs, takes the live table, as
a terminal shows it, and Ray's dashboard; when the sweep has ended, the page. Chromium must be there (Debian:
``apt-get install chromium``).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agropest.store.records import TrialState  # noqa: E402
from agropest.store.store import Store  # noqa: E402
from agropest.store.sweep_record import read_sweep_record  # noqa: E402
from agropest.sweep.spec import load_sweep  # noqa: E402
from agropest.tuning.watch.progress import Progress  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000
LIMIT_S = 3600


class Browser:
    """Chromium without a window, driven over its DevTools protocol."""

    def __init__(self, program: str, folder: Path) -> None:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
        ]
        options += ["--disable-component-update", "--disable-sync", "--no-first-run", "--remote-debugging-port=0"]
        self._process = subprocess.Popen(
            [program, *options, f"--user-data-dir={folder}", "about:blank"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"ws://(\S+?)/", line):
                self._address = found[1]
                return
        raise SystemExit(f"{program} did not start")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def picture(
        self, address: str, size: tuple[int, int], cookies: dict[str, str] | None = None, wait_s: float = 2.0
    ) -> bytes:
        """Returns a PNG of what a page shows ``wait_s`` after it was asked for."""
        return asyncio.run(self._picture(address, size, cookies or {}, wait_s))

    async def _picture(self, address: str, size: tuple[int, int], cookies: dict[str, str], wait_s: float) -> bytes:
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://{self._address}/json/new?about:blank") as reply:
                tab = await reply.json()
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                number = 0

                async def ask(method: str, **arguments: Any) -> dict[str, Any]:
                    nonlocal number
                    number += 1
                    await socket.send_json({"id": number, "method": method, "params": arguments})
                    while True:
                        answer = json.loads((await socket.receive()).data)
                        if answer.get("id") == number:
                            return dict(answer.get("result", {}))

                width, height = size
                await ask(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
                )
                for name, value in cookies.items():
                    await ask("Network.setCookie", name=name, value=value, url=address)
                await ask("Page.navigate", url=address)
                await asyncio.sleep(wait_s)
                shot = await ask("Page.captureScreenshot", format="png")
                return base64.b64decode(shot["data"])


def save(name: str, picture: bytes) -> None:
    """Writes a picture with as many colours as fit into ``MOST_BYTES``."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in (256, 128, 64, 32):
        image.quantize(colours).save(IMAGES / name, optimize=True)
        if (IMAGES / name).stat().st_size <= MOST_BYTES:
            break
    print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size} bytes", flush=True)


def live_table(sweep: Path, settings: Sequence[str], results: Path, link: str, elapsed_s: float) -> str:
    """Returns the live table as an SVG of a terminal, from the same store that the launch's own table reads."""
    spec = load_sweep(sweep, settings)
    store = Store(results)
    console = Console(record=True, width=96, height=24, file=io.StringIO(), force_terminal=True)
    progress = Progress(spec, read_sweep_record(store.sweep_folder(spec.name)).trials, store, console, elapsed_s)
    progress.link(link)
    progress.refresh()
    progress.close()
    console.print(progress.view())
    return console.export_svg(title=f"python launch.py {sweep.relative_to(ROOT)}")


def is_half_way(log: str) -> bool:
    """Returns whether, by what the launch has printed, a trial has finished and another runs."""
    status = dict(re.findall(r"^\[ *[\d.]+ s\] (\S+): (\w+)", log, flags=re.M))
    return {TrialState.FINISHED, TrialState.RUNNING} <= set(status.values())


def wait_until(ready: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > limit:
            raise SystemExit("no trial had finished while another was running")
        time.sleep(0.5)


def main() -> None:
    """Makes the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweep", type=Path, default=ROOT / "sweeps" / "demo.yaml")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--data", type=Path, help="default: what the sweep says")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    arguments = parser.parse_args()
    sweep = arguments.sweep.resolve()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:  # Chromium may still write there
        results, log = Path(scratch) / "results", Path(scratch) / "log.txt"
        command = [sys.executable, str(ROOT / "launch.py"), str(sweep), "--results", str(results)]
        command += ["--data", str(arguments.data)] if arguments.data else []
        command += ["--name", load_sweep(sweep, arguments.settings).name]
        command += [word for setting in arguments.settings for word in ("--set", setting)]
        with open(log, "wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        started = time.monotonic()
        browser = Browser(arguments.chromium, Path(scratch) / "browser")
        try:
            wait_until(lambda: is_half_way(log.read_text()), process)
            dashboard = re.search(r"Ray dashboard: (http://\S+)", log.read_text())
            link = f"{dashboard[0]} (its token: ray get-auth-token)" if dashboard else ""
            elapsed_s = time.monotonic() - started
            svg = live_table(sweep, arguments.settings, results, link, elapsed_s)
            (Path(scratch) / "console.html").write_text(f"<body style='margin:0'>{svg}</body>")
            box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
            assert box is not None
            size = (int(float(box[1])) + 1, int(float(box[2])) + 1)
            save("console.png", browser.picture((Path(scratch) / "console.html").as_uri(), size))
            if dashboard:
                secret = (
                    Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser().read_text().strip()
                )
                address, cookies = f"{dashboard[1]}/#/actors", {"ray-authentication-token": secret}
                save("dashboard.png", browser.picture(address, (1280, 640), cookies, wait_s=20))
            if code := process.wait(LIMIT_S):
                raise SystemExit(f"the sweep ended with {code}:\n{log.read_text()}")
            page = results / load_sweep(sweep, arguments.settings).name / "index.html"
            save("report.png", browser.picture(page.as_uri(), (1100, 1400)))
        finally:
            browser.close()
            if process.poll() is None:
                process.terminate()
                process.wait(120)


if __name__ == "__main__":
    main()
