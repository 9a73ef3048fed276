"""Times how long a browser takes to open the page of a sweep of 50 trials, and says how large it is.

    python -m benchmarks.bench_page [--trials 50] [--images 300] [--repeats 5] [--sweep results/<sweep>]

The sweep is that of ``bench_report``. Headless Chromium opens the page from the disk; counted is the time from its
start until everything is loaded, all scripts have run and the page is laid out. Bytes are those of the page, and of
the page without the pictures in it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from agropest.report.export import export_sweep
from benchmarks.bench_report import make_sweep

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBE = """<script>addEventListener("load", () => {
const laid_out = document.body.offsetHeight;
document.body.dataset.opened = performance.now().toFixed(0);
});</script></body>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sweep", type=Path, help="of which the page is there; default: one is made up")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-page-") as scratch:
        folder = arguments.sweep or make_sweep(Path(scratch), arguments.trials, arguments.images)
        if arguments.sweep is None:
            export_sweep(folder, ["html"])
        page = (folder / "index.html").read_text(encoding="utf-8")
        bare = re.sub(r"data:image/[^\"]*", "", page)
        print(f"page: {len(page.encode()) / 1e6:.2f} MB, without pictures {len(bare.encode()) / 1e6:.2f} MB")
        times = [opened_ms(page, Path(scratch) / f"profile-{number}") for number in range(arguments.repeats)]
        print(f"opened in {statistics.median(times):.0f} ms (median of {len(times)}; {min(times)} to {max(times)})")


def opened_ms(page: str, profile: Path) -> int:
    """Returns the milliseconds until the page stands in a fresh browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("no Chromium on this machine (Debian: apt-get install chromium)")
    profile.mkdir()
    copy = profile / "page.html"
    copy.write_text(page.replace("</body>", PROBE), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"]
    command = [browser, *options, "--timeout=20000", f"--user-data-dir={profile}", "--dump-dom", copy.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'data-opened="(\d+)"', result.stdout)
    if found is None:
        raise SystemExit(f"the page did not open: {result.stderr[-500:]}")
    return int(found[1])


if __name__ == "__main__":
    main()
