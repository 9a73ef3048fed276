"""The page: whole, self-contained, safe with any names, and at work in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from agropest.analysis.sweep_comparison import compare_trials
from agropest.report.export import export_sweep
from agropest.report.page.document import write_page
from agropest.store.losses import LossLog
from agropest.store.records import Status, TrialState
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "br", "wbr"}


class Checker(HTMLParser):
    """Holds that elements nest, and gathers what could be loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.links += [told[key] or "" for key in ("src", "href", "xlink:href", "action") if key in told]
        self.faults += [key for key, _ in attrs if key.startswith("on")]
        self.scripts += tag == "script"
        self.ids += [told["id"] or ""] if "id" in told else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.faults += [key for key, _ in attrs if key.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def whole_text(self) -> str:
        return " ".join("".join(self.text).split())

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert checker.faults == []
    assert all(link.startswith(("#", "data:")) or link == "pictures.html" for link in checker.links), checker.links
    assert all(link[1:] in checker.ids for link in checker.links if link.startswith("#"))
    return checker


@pytest.fixture(scope="module")
def page(sweep: Path) -> str:
    export_sweep(sweep, ["html"])
    return (sweep / "index.html").read_text(encoding="utf-8")


def test_it_is_whole_and_nothing_is_loaded(page: str) -> None:
    checker = check(page)
    assert checker.scripts == 3  # boxes, class names, the script: none came in with a name
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", page)
    assert "@import" not in page
    assert "url(" not in page


def test_every_part_is_there(page: str) -> None:
    parts = ("ranking", "learning", "classes", "boxes", "cost", "pictures", "published", "configuration", "environment")
    assert [part for part in parts if f'<section id="{part}">' not in page] == []
    text = " ".join("".join(check(page).text).split())
    for piece in (
        "unknown (one seed), though this checkpoint scores higher on these images than base's: good",
        "stopped early",
        "AP of each class minus the baseline's",
        "Confusion: base (seed 1)",
        "SOLVER.BASE_LR",
        "Initial weights",
        "good11: rpn.b1: <",  # one loaded, one of another shape, one that the file does not have
        "20 iterations",  # saved by early stopping
        'the loss is NaN </script><script>alert("x")</script>',
        "Käfer_{50%}\\",
    ):
        assert piece in text, piece


def test_a_page_of_fifty_trials_stays_small(large_sweep: Path) -> None:
    record, store = read_sweep_record(large_sweep), Store(large_sweep.parent)
    truths = record.ground_truths()
    comparison = compare_trials(record.trials, store, truths, "AP", "base", record.guards, resamples=100)
    path = write_page(record, store, comparison)
    assert 500_000 < path.stat().st_size < 3_000_000  # the pictures and the boxes of all trials are in it
    page = path.read_text(encoding="utf-8")
    checker = check(page)
    assert "multi_<wbr>scale_<wbr>anchor_<wbr>generator+<wbr>focal_<wbr>loss+<wbr>lr49" in page
    assert "13\N{NO-BREAK SPACE}s" in checker.text


def test_a_sweep_without_readable_pictures_says_nothing_of_them(sweep: Path, tmp_path: Path) -> None:
    record, store = read_sweep_record(sweep), Store(sweep.parent)
    elsewhere = {name: replace(split, image_root=tmp_path) for name, split in record.splits.items()}
    path = write_page(replace(record, splits=elsewhere), store, folder=tmp_path)
    checker = check(path.read_text(encoding="utf-8"))
    assert "pictures" not in checker.ids


def test_while_it_runs_it_loads_itself_again_and_reads_no_boxes(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("read boxes")

    monkeypatch.setattr("agropest.statistics.detections.boxes.Boxes.load", refuse)
    record, store = read_sweep_record(sweep), Store(sweep.parent)
    page = write_page(record, store, running=True, refresh_s=7, folder=tmp_path).read_text(encoding="utf-8")
    check(page)
    assert '<meta http-equiv="refresh" content="7">' in page
    assert "4 of 4 trials have ended" in page
    assert '<section id="learning">' in page
    assert "Confusion" not in page
    assert 'http-equiv="refresh"' not in write_page(record, store, running=True, folder=tmp_path).read_text()
    broken = write_page(record, store, running=True, folder=tmp_path, problem="--address: <nobody>").read_text()
    assert "The launch ended with an error: --address: &lt;nobody&gt;" in broken


def test_losses_are_drawn_and_the_time_left_is_said_while_it_runs(sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(sweep.parent, tmp_path / "r")
    record, store = read_sweep_record(tmp_path / "r" / sweep.name), Store(tmp_path / "r")
    base = store.folder(record.trials[0])
    log = LossLog(base.path, 0)
    for iteration in (10, 20, 30):
        log.write(iteration, 0.01, {"loss_cls": 3.0 / iteration})
    page = write_page(record, store, running=True, refresh_s=7).read_text(encoding="utf-8")
    check(page)
    assert "training loss over iterations" in page
    assert "left, less where" not in check(page).whole_text()  # all have ended
    slow = store.folder(record.trials[2]).claim()
    slow.write_status(Status(TrialState.RUNNING, 10, 40.0))  # of 30: 4 s an iteration
    page = write_page(record, store, running=True, refresh_s=7).read_text(encoding="utf-8")
    assert "About 80 s left, less where trials are stopped early." in check(page).whole_text()
    assert '<button type="button">left</button>' in page


def test_a_sweep_in_which_nothing_has_begun(sweep: Path, tmp_path: Path) -> None:
    record = read_sweep_record(sweep)
    for running in (True, False):
        page = write_page(record, Store(tmp_path), running=running, folder=tmp_path).read_text(encoding="utf-8")
        check(page)
        assert "No evaluation yet" in page


# Before the page's own script: counts errors and requests; at the end: sorts, chooses, and says what came of it.
PROBE_BEFORE = """<script>
window.faults = [];
window.addEventListener("error", (event) => faults.push("error " + event.message), true);
window.addEventListener("securitypolicyviolation", (event) => faults.push("request " + event.blockedURI));
const complain = console.error;
console.error = (...words) => { faults.push("console " + words.join(" ")); complain(...words); };
</script>"""
PROBE_AFTER = """<script>
const told = {};
const column = (table, n) => [...table.tBodies[0].rows].map((row) => row.cells[n].textContent);
const tables = [...document.querySelectorAll("table.sortable")];
const trials = tables.find((table) => table.tHead.textContent.includes("remark"));
const heading = (name) => [...trials.tHead.rows[0].cells].find((cell) => cell.textContent === name);
heading("val AP").querySelector("button").click();
told.down = column(trials, 1);
heading("val AP").querySelector("button").click();
told.up = column(trials, 1);
told.sorted = heading("val AP").getAttribute("aria-sort");
heading("trial").querySelector("button").click();
told.names = column(trials, 1);
const layer = document.querySelector("svg.picture[data-side='0'] .drawn");
told.outside = [...document.querySelectorAll("svg.picture text")].filter((label) => {
  const [box, picture] = [label.getBBox(), label.ownerSVGElement.viewBox.baseVal];
  return box.x < 0 || box.x + box.width > picture.width || Number(label.getAttribute("y")) > picture.height;
}).length;
told.boxes = layer.querySelectorAll("rect").length;
const before = layer.innerHTML;
const left = document.getElementById("left");
left.value = [...left.options].map((option) => option.value).find((value) => value !== left.value);
left.dispatchEvent(new Event("change"));
told.changed = layer.innerHTML !== before;
told.entries = performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:")).length;
told.faults = faults;
document.body.dataset.told = JSON.stringify(told);
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")
def test_it_works_in_a_browser(page: str, tmp_path: Path) -> None:
    import html
    import json

    probed = page.replace("<head>", "<head>" + PROBE_BEFORE, 1).replace("</body>", PROBE_AFTER, 1)
    (tmp_path / "page.html").write_text(probed, encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --dump-dom"
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path}/page.html"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found = re.search(r'<body data-told="([^"]*)"', result.stdout)
    assert found, result.stderr[-2000:]
    told = json.loads(html.unescape(found.group(1)))
    assert told["faults"] == []
    assert told["entries"] == 0
    assert told["down"] == ["good", "base", "slow", "bad"]  # what has no value stays last
    assert told["up"] == ["slow", "base", "good", "bad"]
    assert told["sorted"] == "ascending"
    assert told["names"] == ["bad", "base", "good", "slow"]
    assert told["boxes"] >= 4
    assert told["outside"] == 0
    assert told["changed"]
