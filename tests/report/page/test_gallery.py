"""The page of all pictures: its data in Python, its behaviour in Chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agropest.__main__ import main
from agropest.report.page.details import Detail, chosen_boxes, read_detail
from agropest.report.page.document import write_page
from agropest.report.page.gallery import LOWEST_SCORE, read_gallery, write_gallery
from agropest.report.page.thumbnails import write_thumbnail
from agropest.statistics.diagnosis.box_kinds import RIGHT
from agropest.store.store import Store
from agropest.store.sweep_record import SplitRecord, SweepRecord, read_sweep_record
from tests.report.conftest import CLASSES

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def record(sweep: Path) -> SweepRecord:
    return read_sweep_record(sweep)


@pytest.fixture(scope="module")
def details(sweep: Path, record: SweepRecord) -> list[Detail]:
    store, truth = Store(sweep.parent), record.ground_truths()["valid"]
    told = [read_detail(trial, store, "AP", truth) for trial in record.trials[:2]]
    assert None not in told
    return told  # type: ignore[return-value]


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="gallery">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_every_picture_is_there_with_the_boxes_of_every_trial(
    record: SweepRecord, details: list[Detail], tmp_path: Path
) -> None:
    truth = record.ground_truths()["valid"]
    page = write_gallery(record, details, truth, tmp_path)
    assert page == tmp_path / "pictures.html"
    data = data_of(page)
    assert data["classes"] == list(CLASSES)
    assert data["trials"] == ["base (seed 1)", "good (seed 1)"]
    assert (data["num_images"], len(data["pictures"]), data["left_out"]) == (24, 23, 1)  # one picture is not there
    by_name = {image["file_name"]: image["id"] for image in truth.images}
    for picture in data["pictures"]:
        image_id = by_name[picture["name"]]
        with Image.open(tmp_path / picture["file"]) as thumbnail:
            assert thumbnail.size == (picture["width"], picture["height"]) == (120, 80)
        own = [one for one in truth.annotations if one["image_id"] == image_id]
        assert [box[1:] for box in picture["truth"]] == [[round(v, 1) for v in one["bbox"]] for one in own]
        for detail, shown in zip(details, picture["trials"], strict=True):
            boxes = detail.boxes.where((detail.boxes.image_id == image_id) & (detail.boxes.score >= LOWEST_SCORE))
            assert len(shown["boxes"]) == len(boxes)
            assert [box[5] for box in shown["boxes"]] == sorted((box[5] for box in shown["boxes"]), reverse=True)
            scores = sorted(box[5] for box in shown["boxes"] if box[6] == RIGHT)
            assert sorted(score for score in shown["found_at"] if score) == scores


def test_hostile_names_end_no_element(record: SweepRecord, details: list[Detail], tmp_path: Path) -> None:
    page = write_gallery(record, details, record.ground_truths()["valid"], tmp_path)
    assert page is not None
    text = page.read_text()
    assert text.count("<script") == text.count("</script>") == 2
    assert 'alert("x")' not in text.replace('\\"', "").replace("&#34;", "")
    assert not re.findall(r"(?:src|href)=[\"']?https?:", text)


def test_thumbnails_are_made_once_and_again_for_another_picture(
    record: SweepRecord, details: list[Detail], tmp_path: Path
) -> None:
    truth, pictures = record.ground_truths()["valid"], tmp_path / "pictures-of-the-set"
    shutil.copytree(record.splits["valid"].image_root, pictures)
    moved = replace(record, splits={"valid": replace(record.splits["valid"], image_root=pictures)})
    first = read_gallery(moved, details, truth, tmp_path)
    times = {one.file: (tmp_path / one.file).stat().st_mtime_ns for one in first.pictures}
    Image.new("RGB", (300, 200)).save(pictures / first.pictures[0].name)
    second = read_gallery(moved, details, truth, tmp_path)
    assert second.pictures[0].file != first.pictures[0].file
    assert (second.pictures[0].width, second.pictures[0].height) == (300, 200)
    assert {one.file: (tmp_path / one.file).stat().st_mtime_ns for one in second.pictures[1:]} == {
        one.file: times[one.file] for one in first.pictures[1:]
    }


def test_where_no_picture_is_there_is_no_page(record: SweepRecord, details: list[Detail], tmp_path: Path) -> None:
    split: SplitRecord = replace(record.splits["valid"], image_root=tmp_path / "gone")
    (tmp_path / "pictures.html").write_text("of an earlier launch")
    moved = replace(record, splits={"valid": split})
    assert write_gallery(moved, details, record.ground_truths()["valid"], tmp_path) is None
    assert not (tmp_path / "pictures.html").exists()


def test_nothing_outside_the_data_set_is_read(record: SweepRecord, details: list[Detail], tmp_path: Path) -> None:
    truth = record.ground_truths()["valid"]
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.jpg")
    images = [{**truth.images[0], "file_name": str(tmp_path / "secret.jpg")}, {**truth.images[1], "file_name": ""}]
    told = read_gallery(record, details, replace(truth, images=images, annotations=[]), tmp_path / "out")
    assert told.pictures == []
    assert told.left_out == 2


def test_a_large_picture_becomes_small_and_upright(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((1000, 2000, 3), dtype=np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 8
    picture.save(tmp_path / "side.jpg", exif=exif)
    assert write_thumbnail(tmp_path / "side.jpg", tmp_path / "t" / "1.jpg") == (1000, 2000)
    with Image.open(tmp_path / "t" / "1.jpg") as small:
        assert small.size == (256, 512)
    (tmp_path / "broken.jpg").write_bytes(b"x")
    assert write_thumbnail(tmp_path / "broken.jpg", tmp_path / "t" / "2.jpg") is None


def test_export_writes_it_and_the_page_links_to_it(sweep: Path) -> None:
    assert main(["export", str(sweep), "--format", "html"]) == 0
    assert 'href="pictures.html"' in (sweep / "index.html").read_text()
    assert data_of(sweep / "pictures.html")["num_images"] == 24


def test_while_it_runs_nothing_has_a_rank_and_no_gallery_is_made(sweep: Path, tmp_path: Path) -> None:
    record = read_sweep_record(sweep)
    page = write_page(record, Store(sweep.parent), running=True, folder=tmp_path).read_text()
    table = page[page.index("<h3>Trials</h3>") :]
    first_cells = re.findall(r'<tr><td class="number ">([^<]*)</td>', table[: table.index("</tbody>")])
    assert first_cells == ["–"] * 4
    assert not (tmp_path / "pictures.html").exists()


def test_a_class_has_its_own_ap_on_the_page(sweep: Path) -> None:
    assert main(["export", str(sweep), "--format", "html"]) == 0
    record, store = read_sweep_record(sweep), Store(sweep.parent)
    found = chosen_boxes(record.trials[1], store, "AP")
    assert found is not None
    value = next(e for e in store.folder(record.trials[1]).read_evaluations("valid") if e.iteration == found[1]).metrics
    page = (sweep / "index.html").read_text()
    part = page[page.index("AP of each class itself") :]
    assert f">{value['AP-ant']:.2f}</td>" in part[: part.index("</table>")]


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium: apt-get install chromium")
def test_the_page_filters_in_a_browser(record: SweepRecord, details: list[Detail], tmp_path: Path) -> None:
    page = write_gallery(record, details, record.ground_truths()["valid"], tmp_path)
    assert page is not None
    pictures = data_of(page)["pictures"]

    def missed(picture: dict[str, Any], trial: int, at: float, index: int = -1) -> list[int]:
        found = picture["trials"][trial]["found_at"]
        wanted = [n for n, box in enumerate(picture["truth"]) if index in (-1, box[0])]
        return [n for n in wanted if found[n] < at]

    every = shown(page, "threshold=0.4")
    assert every["count"] == "23 of 23 pictures"
    assert every["rects"]["missed"] == sum(len(missed(p, t, 0.4)) for p in pictures for t in (0, 1))
    kinds = [box[6] for p in pictures for t in p["trials"] for box in t["boxes"] if box[5] >= 0.4]
    assert every["rects"]["right"] == kinds.count(RIGHT)
    assert every["rects"]["wrong"] == len(kinds) - kinds.count(RIGHT)

    with_missed = [missed(p, 0, 0.6, 0) for p in pictures]
    told = shown(page, "kind=missed&class=0&threshold=0.6")
    assert told["count"] == f"{sum(map(bool, with_missed))} of 23 pictures, {sum(map(len, with_missed))} times"

    better = [set(missed(p, 0, 0.4)) - set(missed(p, 1, 0.4)) for p in pictures]
    told = shown(page, "a=1&b=0&kind=better&threshold=0.4")
    assert sum(map(len, better)) > 0
    assert told["count"] == f"{sum(map(bool, better))} of 23 pictures, {sum(map(len, better))} times"

    name = pictures[3]["name"]
    told = shown(page, f"picture={name}")
    assert f": {name}" in told["zoomed"]
    assert told["images"] > 46  # the two of the enlarged picture, too


def shown(page: Path, address: str) -> dict[str, Any]:
    """Returns what the page shows in a headless browser, and that its script raised nothing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    command = [browser, *options, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom"]
    result = subprocess.run([*command, f"{page.as_uri()}#{address}"], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in result.stderr, result.stderr
    dom = result.stdout
    count = re.search(r'<p id="count" role="status">(.*?)</p>', dom)
    zoomed = re.search(r'<span id="name">(.*?)</span>', dom)
    assert count and zoomed
    kinds = ("found", "missed", "right", "wrong")
    return {
        "count": count[1],
        "zoomed": html.unescape(zoomed[1]),
        "rects": {kind: len(re.findall(rf'<rect class="{kind}"', dom)) for kind in kinds},
        "images": len(re.findall(r"<image ", dom)),
    }
