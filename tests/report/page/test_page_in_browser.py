"""The sweep's page in Chromium: tables fit, columns fold away and come back."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agropest.__main__ import main

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium: apt-get install chromium"),
]
# Reports, once the page has done its work, which tables are wider than their place, and unfolds a column.
PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const folded = [...document.querySelectorAll(".scroll.folds")];
  const wide = folded.filter((box) => box.scrollWidth > box.clientWidth).length;
  const check = [...document.querySelectorAll(".chooser input")].find((one) => !one.checked);
  if (check) check.click();
  const last = check ? document.querySelectorAll(".away").length : -1;
  document.title = `wide ${wide} then ${last} ${check ? check.checked : ""}`;
}, 200));</script>"""


def dom_of(page: Path, width: int, probe: str = PROBE, *flags: str) -> str:
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    copy = page.with_name("probed.html")
    copy.write_text(page.read_text().replace("</body>", f"{probe}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    size = [f"--window-size={width},900", f"--user-data-dir={page.parent / 'profile'}", "--dump-dom"]
    result = subprocess.run(
        [browser, *options, *flags, *size, copy.as_uri()], capture_output=True, text=True, timeout=120
    )
    copy.unlink()
    assert "CONSOLE" not in result.stderr, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def page(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert main(["export", str(sweep), "--format", "html"]) == 0
    target = tmp_path_factory.mktemp("page") / "index.html"
    target.write_text((sweep / "index.html").read_text())
    return target


@pytest.mark.parametrize("width", [1280, 1000])
def test_columns_fold_until_tables_fit_and_come_back(page: Path, width: int) -> None:
    dom = dom_of(page, width)
    folded = [int(one) for one in re.findall(r"(\d+) of \d+ columns are folded away", dom)]
    assert sum(folded) > 0
    told = re.search(r"<title>wide (\d+) then (\d+) (\w+)</title>", dom)
    assert told, dom[:500]
    assert int(told[2]) > 0  # others are still folded away
    assert told[3] == "true"


# What is wider than its place, is cut, or is too small to be read.
FIT = """<script>addEventListener("load", () => setTimeout(() => {
  const root = document.documentElement;
  const told = { sideways: root.scrollWidth - root.clientWidth, tables: 0, cut: [], charts: 0, small: [], outside: [] };
  for (const box of document.querySelectorAll(".scroll")) {
    told.tables += 1;
    const table = box.querySelector("table").textContent.trim().slice(0, 30);
    if (box.scrollWidth > box.clientWidth) told.cut.push(`${table}: ${box.scrollWidth} of ${box.clientWidth}`);
  }
  for (const svg of document.querySelectorAll(".wide > svg, .narrow > svg")) {
    const place = svg.getBoundingClientRect();
    if (!place.width) continue;
    told.charts += 1;
    const scale = place.width / svg.viewBox.baseVal.width;
    if (scale * 11 < 9) told.small.push(`${svg.getAttribute("aria-label")}: ${scale}`);
    if (place.right > innerWidth) told.outside.push(svg.getAttribute("aria-label"));
    for (const text of svg.querySelectorAll("text")) {
      const its = text.getBoundingClientRect();
      if (its.left < place.left - 1 || its.right > place.right + 1 || its.bottom > place.bottom + 1)
        told.outside.push(`${svg.getAttribute("aria-label")}: ${text.textContent}`);
    }
  }
  parent.document.title = JSON.stringify(told);
}, 200));</script>"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_cut_or_scrolls_sideways(page: Path, width: int, scheme: str) -> None:
    """Chromium's own windows are 500 px wide at least: the page stands in a frame."""
    inner = page.with_name("inner.html")
    inner.write_text(page.read_text().replace("</body>", f"{FIT}</body>"))
    frame = page.with_name("frame.html")
    style = f"border:0;width:{width}px;height:900px"
    frame.write_text(f'<title>x</title><body><iframe src="{inner.name}" style="{style}"></iframe></body>')
    colours = f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}"
    dom = dom_of(frame, 1300, "", "--allow-file-access-from-files", colours)
    found = re.search(r"<title>(\{.*\})</title>", dom)
    assert found, dom[:500]
    told = json.loads(html.unescape(found[1]))
    assert told["tables"] > 5
    assert told["charts"] > 3
    assert {key: told[key] for key in ("sideways", "cut", "small", "outside")} == {
        "sideways": 0,
        "cut": [],
        "small": [],
        "outside": [],
    }


def test_a_wide_screen_folds_less(page: Path) -> None:
    counts = []
    for width in (1000, 1280):
        counts.append(sum(int(one) for one in re.findall(r"(\d+) of \d+ columns are folded away", dom_of(page, width))))
    assert counts[0] > counts[1] > 0
