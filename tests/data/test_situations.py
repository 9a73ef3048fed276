"""Data sets as people really have them: what public bug reports showed, and what is right for each kind."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.health import read_findings
from agropest.data.inspection.statistics import read_split
from agropest.data.opening import require_splits
from agropest.errors import DataError

Fixture = Callable[..., Any]
BOX = (40, 20, 30, 30)


def load(root: Path, *more: str) -> Dataset:
    return load_dataset(root.joinpath(*more), root.parent / "cache", processes=1)


def sizes(dataset: Dataset) -> dict[str, tuple[int, int]]:
    return {name: (split.num_images, split.num_boxes) for name, split in dataset.splits.items()}


def boxes(dataset: Dataset, split: str) -> list[list[float]]:
    return [[round(v, 2) for v in a["bbox"]] for a in read_split(dataset, split)["annotations"]]


def rules(dataset: Dataset) -> Counter[tuple[str, str]]:
    return Counter((f.split, f.rule) for f in read_findings(dataset.health) if f.rule != "split-not-in-yaml")


def refusal(dataset: Dataset) -> str:
    with pytest.raises(DataError) as caught:
        require_splits(dataset, ("train", "valid"))
    return str(caught.value)


def yolo(some: Any, folders: dict[str, str], data_yaml: str, number: int = 6, labels: str = "") -> None:
    """Writes pictures with a box each; ``folders`` are image folders by split, ``labels`` what stands for images."""
    for split, folder in folders.items():
        for i in range(number):
            some.image(f"{folder}/{split}{i}.jpg")
            place = folder if labels == "beside" else folder.replace("images", labels or "labels")
            some.label(f"{place}/{split}{i}.txt", (10 + 8 * i, 20, 30, 30))
    some.text("data.yaml", data_yaml)


# --- splits that are the same pictures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        ("images/train", "images/val"),
        ("images/training", "images/validation"),
        ("train/images", "val/images"),
        ("Images/Train", "Images/Valid"),
    ],
)
def test_the_word_of_the_split_is_never_lost(some: Any, train: str, valid: str) -> None:
    yolo(some, {"train": train, "val": valid}, "train: x/train/pics\nval: valid/pictures\nnames: [ant]\n")
    dataset = load(some.root)
    assert sizes(dataset) == {"train": (6, 6), "valid": (6, 6)}
    for split, folder in (("train", train), ("valid", valid)):
        assert {Path(i["file_name"]).parent.as_posix() for i in read_split(dataset, split)["images"]} == {folder}
    assert rules(dataset)["valid", "path-repaired"] == 1


def test_a_path_that_could_be_two_folders_names_both(some: Any) -> None:
    yolo(some, {"a": "images/val", "b": "validation/images", "train": "train/images"}, "")
    some.text("data.yaml", "train: train/images\nval: set/valid/x\nnames: [ant]\n")
    with pytest.raises(DataError, match=r"got \['images/val', 'validation/images'\]"):
        load(some.root)


def test_a_flat_set_with_the_usual_data_yaml_is_refused(some: Any) -> None:
    yolo(some, {"p": "images"}, "train: train/images\nval: valid/images\ntest: test/images\nnames: [ant]\n")
    with pytest.raises(
        DataError, match=r"train: expected a folder of images inside .*there are the folders images, la"
    ):
        load(some.root)


def test_one_picture_set_under_two_paths_is_refused(some: Any) -> None:
    yolo(some, {"train": "a/images"}, "train: a/images\nval: b/images\nnames: [ant]\n")
    for file in (some.root / "a/images").iterdir():
        some.text(f"b/images/{file.name}", "")
        (some.root / f"b/images/{file.name}").write_bytes(file.read_bytes())
        some.label(f"b/labels/{file.stem}.txt", BOX)
    assert "expected other pictures than in train, got 'every one of the 6 pictures of valid" in refusal(
        load(some.root)
    )


def test_validation_in_a_folder_of_train_is_refused(some: Any) -> None:
    yolo(some, {"train": "images", "val": "images/val"}, "train: images\nval: images/val\nnames: [ant]\n")
    assert "every one of the 6 pictures of valid in train, too" in refusal(load(some.root))


def test_an_overlap_is_told_without_a_check_before(some: Any) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train/images\nval: val/images\nnames: [ant]\n")
    (some.root / "val/images/val0.jpg").write_bytes((some.root / "train/images/train3.jpg").read_bytes())
    dataset = load(some.root)
    require_splits(dataset, ("train", "valid"))
    [told] = [f for f in read_findings(dataset.health) if f.rule == "picture-in-two-splits"]
    assert (told.split, told.file) == ("valid", "val/images/val0.jpg")
    assert told.detail == "train/images/train3.jpg in train has the same bytes"


def test_one_coco_file_is_never_two_splits(some: Any) -> None:
    some.coco("annotations/trainval.json", ["images/a.jpg", "images/b.jpg"])
    with pytest.raises(DataError, match=r"expected annotation files named after their splits, got .*trainval.json"):
        load(some.root)


def test_two_coco_files_of_one_split_are_named(some: Any) -> None:
    some.coco("annotations/val.json", ["images/a.jpg"])
    some.coco("annotations/train_a.json", ["images/b.jpg"])
    some.coco("train/_annotations.coco.json", ["train/c.jpg"])
    with pytest.raises(
        DataError, match=r"for train, got \['annotations/train_a.json', 'train/_annotations.coco.json'\]"
    ):
        load(some.root)


# --- boxes where they do not belong -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 9])
def test_one_id_for_two_pictures_is_refused(some: Any, number: int) -> None:
    images = [{"id": i // 2, "file_name": f"p{i}.jpg"} for i in range(2 * number)]
    categories = [{"id": 1, "name": "ant"}]
    some.json("annotations/train.json", {"images": images, "annotations": [], "categories": categories})
    with pytest.raises(
        DataError, match=r"images, id 0: expected one image for an id, got 'p0.jpg and p1.jpg'"
    ) as caught:
        load(some.root)
    assert len(caught.value.faults) == min(number, 6)


def two_splits(some: Any, **told: Any) -> None:
    some.coco("annotations/train.json", [f"images/train/t{i}.jpg" for i in range(6)], **told)
    some.coco("annotations/val.json", [f"images/val/v{i}.jpg" for i in range(6)], **told)


def test_pictures_that_were_scaled_take_their_boxes_with_them(some: Any) -> None:
    two_splits(some, boxes=[BOX])
    for i in range(6):
        some.image(f"images/train/t{i}.jpg", (80, 60))
    dataset = load(some.root)
    assert boxes(dataset, "train") == [[20, 10, 15, 15]] * 6
    assert rules(dataset) == {("train", "size-scaled"): 6}


def test_pictures_that_were_stretched_are_refused(some: Any) -> None:
    two_splits(some)
    for i in range(6):
        some.image(f"images/train/t{i}.jpg", (96, 96))
    with pytest.raises(DataError, match="expected images of the width and height that the file tells in train"):
        load(some.root)
    some.image("images/train/t0.jpg")
    assert "got 'another shape in 5 of 6 images'; the images were stretched" in refusal(load(some.root))
    for i in range(1, 5):
        some.image(f"images/train/t{i}.jpg")
    dataset = load(some.root)
    require_splits(dataset, ("train", "valid"))
    assert sizes(dataset)["train"] == (5, 5)


def test_pictures_that_were_turned_are_refused_where_their_boxes_do_not_fit(some: Any) -> None:
    two_splits(some, boxes=[(110, 20, 40, 30)])
    for i in range(6):
        some.image(f"images/train/t{i}.jpg", (120, 160))
    with pytest.raises(DataError, match="expected images of the width and height that the file tells in train"):
        load(some.root)


def test_a_size_that_cannot_be_right_does_not_move_boxes(some: Any) -> None:
    two_splits(some, boxes=[(100, 80, 50, 30)])
    for name in ("train", "val"):
        path = some.root / f"annotations/{name}.json"
        path.write_text(path.read_text().replace('"width": 160, "height": 120', '"width": 80, "height": 60'))
    dataset = load(some.root)
    assert boxes(dataset, "train") == [[100, 80, 50, 30]] * 6
    assert rules(dataset) == {("train", "size-differs"): 6, ("valid", "size-differs"): 6}


@pytest.mark.parametrize(
    ("shape", "points"), [("[3, 2]", ".3 .2 .4 .3 .2 .4"), ("[2, 3]", ".3 .2 2 .4 .3 0"), ("[1, 3]", ".3 .2 1")]
)
def test_key_points_are_left_out(some: Any, shape: str, points: str) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "")
    some.text("data.yaml", f"train: train/images\nval: val/images\nkpt_shape: {shape}\nnames: [ant]\n")
    for label in some.root.rglob("*.txt"):
        label.write_text(f"0 .3 .3 .25 .25 {points}\n")
    dataset = load(some.root)
    assert boxes(dataset, "train") == [[28, 21, 40, 30]] * 6
    assert rules(dataset) == {("", "key-points"): 1}


@pytest.mark.parametrize("points", [".3 .2 .35 .3 .25 .35 .3 .3", ".3 .2 2 .35 .3 1"])
def test_key_points_that_data_yaml_does_not_tell_are_refused(some: Any, points: str) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant]\n")
    for label in some.root.rglob("*.txt"):
        label.write_text(f"0 .3 .3 .25 .25 {points}\n")
    assert "a box and points inside it in 6 of 6 lines'; these are key points: write kpt_shape" in refusal(
        load(some.root)
    )


def test_oriented_boxes_are_refused_by_name(some: Any) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant]\n")
    for i, label in enumerate(sorted(some.root.rglob("*.txt"))):
        x, y = 30 + 5 * i, 40  # sides (20, 10) and (-5, 10) at right angles
        corners = [(x, y), (x + 20, y + 10), (x + 15, y + 20), (x - 5, y + 10)]
        label.write_text("0 " + " ".join(f"{a / 160:.6f} {b / 120:.6f}" for a, b in corners) + "\n")
    assert "these are oriented boxes (OBB)" in refusal(load(some.root))


def test_polygons_of_four_corners_are_no_oriented_boxes(some: Any) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant]\n")
    for label in some.root.rglob("*.txt"):
        label.write_text("0 .2 .2 .5 .2 .5 .6 .2 .6\n")
    require_splits(load(some.root), ("train", "valid"))


@pytest.mark.parametrize("ids", [(0, 1), (1, 1)])
def test_a_picture_listed_twice_keeps_the_boxes_of_both(some: Any, ids: tuple[int, int]) -> None:
    two_splits(some)
    some.image("images/twice.jpg")
    images = [{"id": 5, "file_name": "twice.jpg"}, {"id": 6, "file_name": "twice.jpg"}]
    places = [[10, 20, 30, 30], [80, 40, 30, 30]]
    annotations = [{"image_id": 5 + i, "category_id": 1, "bbox": places[at]} for i, at in enumerate(ids)]
    categories = [{"id": 1, "name": "ant"}]
    some.json("annotations/train.json", {"images": images, "annotations": annotations, "categories": categories})
    dataset = load(some.root)
    assert boxes(dataset, "train") == [places[at] for at in sorted(set(ids))]
    assert rules(dataset)["train", "image-twice"] == 1


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        (lambda x, y, w, h: (x, y, x + w, y + h), "two corners (x1, y1, x2, y2)"),
        (lambda x, y, w, h: (x + w / 2, y + h / 2, w, h), "the centre and the size"),
        (lambda x, y, w, h: (x / 160, y / 120, w / 160, h / 120), "shares of the image instead of pixels"),
    ],
)
def test_coco_boxes_of_another_form_are_refused_with_their_cause(some: Any, written: Fixture, cause: str) -> None:
    two_splits(some, boxes=[written(*box) for box in ((70, 60, 80, 50), (90, 50, 60, 65), (75, 70, 70, 40))])
    told = refusal(load(some.root))
    assert "train: expected boxes inside the images, got '" in told
    assert f"they look like {cause}: export them as the left upper corner and the size" in told


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        (lambda x, y, w, h: (x, y, x + w, y + h), "two corners (x1, y1, x2, y2)"),
        (lambda x, y, w, h: (x, y, w, h), "the left upper corner and the size"),
    ],
)
def test_yolo_boxes_of_another_form_are_refused_with_their_cause(some: Any, written: Fixture, cause: str) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant]\n")
    for i, label in enumerate(sorted(some.root.rglob("*.txt"))):
        numbers = written(*((0.02 * (i % 6), 0.01, 0.5, 0.6) if i % 2 else (0.55, 0.4, 0.4, 0.3)))
        label.write_text("0 " + " ".join(f"{n:.4f}" for n in numbers) + "\n")
    assert f"they look like {cause}: export them as the centre and the size in shares of the image" in refusal(
        load(some.root)
    )


def test_large_boxes_at_the_border_are_no_fault(some: Any) -> None:
    two_splits(some, boxes=[(0, 0, 160, 120), (0, 10, 90, 110), (70, 0, 90.5, 120)])
    require_splits(load(some.root), ("train", "valid"))


# --- what is named is what is read ------------------------------------------------------------------------------------


def test_the_file_that_is_named_is_read(some: Any) -> None:
    yolo(some, {"a": "a/images", "b": "b/images", "c": "c/images"}, "train: a/images\nval: c/images\nnames: [ant]\n", 3)
    some.text("fold_1.yaml", "train: [b/images, c/images]\nval: a/images\nnames: [ant]\n")
    some.text("fold_2.yaml", "train: [a/images, c/images]\nval: b/images\nnames: [ant]\n")
    found = {name: load(some.root, name) for name in ("", "data.yaml", "fold_1.yaml", "fold_2.yaml")}
    assert len({dataset.fingerprint for dataset in found.values()}) == 3
    assert found[""].fingerprint == found["data.yaml"].fingerprint
    assert sizes(found["fold_1.yaml"]) == {"train": (6, 6), "valid": (3, 3)}
    assert load(some.root, "fold_1.yaml") == found["fold_1.yaml"]  # from the cache
    (some.root / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"got \['fold_1.yaml', 'fold_2.yaml'\]; name the one"):
        load(some.root)


def test_a_data_yaml_of_somewhere_else_is_refused(some: Any, tmp_path: Path) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant]\n")
    (some.root / "data.yaml").rename(tmp_path / "secret.yaml")
    (some.root / "data.yaml").symlink_to(tmp_path / "secret.yaml")
    for name in ("", "data.yaml"):
        with pytest.raises(DataError, match="expected a file of the data set, got 'a link to"):
            load(some.root, name)


# --- faults of a whole split ------------------------------------------------------------------------------------------


def test_classes_counted_from_one(some: Any) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant, bee, moth]\n")
    for i, label in enumerate(sorted(some.root.rglob("*.txt"))):
        label.write_text(f"{i % 3 + 1} .5 .5 .2 .2\n")
    told = refusal(load(some.root))
    assert "expected classes from 0 to 2, got '1 to 3: 4 labels are of class 3, which has no name'" in told
    assert "one too high, as if they were counted from 1" in told
    (some.root / "train/labels/train0.txt").write_text("0 .5 .5 .2 .2\n")  # class 0 is there: only stray labels
    require_splits(load(some.root), ("train", "valid"))


@pytest.mark.parametrize(("first", "how"), [(0, "one too low, as if they were counted from 0"), (2, "one too high")])
def test_coco_categories_that_are_shifted(some: Any, first: int, how: str) -> None:
    two_splits(some)
    for name in ("train", "val"):
        content = json.loads((some.root / f"annotations/{name}.json").read_text())
        content["categories"] = [{"id": 1 + c, "name": f"c{c}"} for c in range(3)]
        for i, one in enumerate(content["annotations"]):
            one["category_id"] = first + i % 3
        some.json(f"annotations/{name}.json", content)
    assert how in refusal(load(some.root))


def test_the_category_that_roboflow_adds_is_no_class(some: Any) -> None:
    two_splits(some)
    for name in ("train", "val"):
        content = json.loads((some.root / f"annotations/{name}.json").read_text())
        content["categories"] = [
            {"id": 0, "name": "ant", "supercategory": "none"},
            {"id": 1, "name": "ant", "supercategory": "ant"},
        ]
        some.json(f"annotations/{name}.json", content)
    dataset = load(some.root)
    assert dataset.class_names == ("ant",)
    assert rules(dataset) == {("train", "category-of-categories"): 1, ("valid", "category-of-categories"): 1}


def test_two_classes_of_one_name_are_refused_in_the_users_file(some: Any) -> None:
    two_splits(some)
    path = some.root / "annotations/train.json"
    path.write_text(path.read_text().replace('"categories": [', '"categories": [{"id": 7, "name": "ant"}, '))
    with pytest.raises(DataError, match=r"train.json: categories: expected a name of its own for each class, got"):
        load(some.root)


def test_a_split_of_crowds_has_nothing_to_train_on(some: Any) -> None:
    two_splits(some, iscrowd=1)
    told = refusal(load(some.root))
    assert "train: expected boxes that a detector trains on, got 'every annotation (6) is a crowd'" in told
    assert "valid: expected boxes that a detector is measured by" in told


def test_a_validation_split_without_a_label(some: Any) -> None:
    yolo(some, {"train": "images/train", "val": "images/val"}, "train: images/train\nval: images/val\nnames: [ant]\n")
    for label in (some.root / "labels/val").iterdir():
        label.unlink()
    assert "valid: expected boxes that a detector is measured by, got 'no label file for any of its 6 images'; put" in (
        refusal(load(some.root))
    )
    some.label("annotations_txt/val0.txt", BOX)
    assert "but files of these names in annotations_txt" in refusal(load(some.root))


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("0 80 60 30 30", "they look like pixels instead of shares of the image"),
        ("ant .5 .5 .2 .2", "the class is a word; ant"),
        ("0 .5 .5 .2", "4 columns: 0 .5 .5 .2"),
    ],
)
def test_what_drops_every_box_is_one_sentence(some: Any, line: str, part: str) -> None:
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant]\n")
    for label in (some.root / "val/labels").iterdir():
        label.write_text(line)
    [told] = refusal(load(some.root)).splitlines()
    assert part in told


def test_annotations_of_other_images_are_told(some: Any) -> None:
    two_splits(some)
    path = some.root / "annotations/val.json"
    path.write_text(path.read_text().replace('"image_id": ', '"image_id": 50'))
    assert "no annotation of an image that annotations/val.json lists" in refusal(load(some.root))


# --- where labels and images are looked for ---------------------------------------------------------------------------


def test_labels_beside_the_images_in_a_folder_named_images(some: Any) -> None:
    yolo(some, {"train": "train/a/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant]\n")
    for i in range(3):
        some.image(f"train/b/images/b{i}.jpg")
        some.label(f"train/b/images/b{i}.txt", BOX)
    dataset = load(some.root)
    assert sizes(dataset) == {"train": (9, 9), "valid": (6, 6)}
    assert rules(dataset) == {("train", "label-elsewhere"): 3}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train/Images", "train/Labels"),
        ("IMAGES/train", "labels/train"),
        ("train", "labels/train"),
        ("train/pictures", "train/labels"),
        ("train", "train/labels"),
        ("images/train", "labels"),
    ],
)
def test_labels_are_found_whatever_the_capitals(some: Any, images: str, labels: str) -> None:
    for split in ("train", "val"):
        for i in range(3):
            some.image(f"{images.replace('train', split)}/{split}{i}.jpg")
            some.label(f"{labels.replace('train', split)}/{split}{i}.txt", BOX)
    some.text("data.yaml", f"train: {images}\nval: {images.replace('train', 'val')}\nnames: [ant]\n")
    assert sizes(load(some.root)) == {"train": (3, 3), "valid": (3, 3)}


def test_a_label_is_not_given_to_two_pictures(some: Any) -> None:
    for split in ("train", "val"):
        some.image(f"images/{split}/1.jpg")
    some.label("labels/1.txt", BOX)
    some.text("data.yaml", "train: images/train\nval: images/val\nnames: [ant]\n")
    dataset = load(some.root)
    assert sizes(dataset) == {"train": (1, 1), "valid": (1, 0)}
    assert rules(dataset) == {("train", "label-elsewhere"): 1, ("valid", "label-missing"): 1}


def test_what_lies_above_the_data_set_does_not_count(folder_of: Fixture) -> None:
    some = folder_of("images/set")
    yolo(some, {"train": "train", "val": "val"}, "train: train\nval: val\nnames: [ant]\n", labels="beside")
    assert sizes(load(some.root)) == {"train": (6, 6), "valid": (6, 6)}
    assert rules(load(some.root)) == {}


def test_links_inside_the_data_set_do_not_count(some: Any) -> None:
    yolo(some, {"train": "images/train", "val": "images/val"}, "train: images/train\nval: images/val\nnames: [ant]\n")
    (some.root / "images").rename(some.root / "pictures")
    (some.root / "images").symlink_to("pictures")
    assert sizes(load(some.root)) == {"train": (6, 6), "valid": (6, 6)}


@pytest.mark.parametrize(
    "written",
    [
        lambda path: path.replace("/", "\\"),
        lambda path: "C:\\Users\\me\\set\\" + path.replace("/", "\\"),
        lambda path: "/home/somebody/set/" + path,
        lambda path: "../../" + path,
        lambda path: "./" + path,
        lambda path: "upload/7/" + path.rpartition("/")[2],
        lambda path: path.upper(),
        lambda path: path.removesuffix(".jpg"),
        lambda path: path.replace(".jpg", ".png"),
        lambda path: f"/data/local-files/?d={path}",
        lambda path: path.replace("images", "my%20images").replace("0", "%30"),
    ],
)
def test_a_file_name_of_another_machine_is_found_by_its_last_parts(some: Any, written: Fixture) -> None:
    for split in ("train", "val"):
        some.coco(f"annotations/{split}.json", [f"images/{split}/{i}.jpg" for i in range(3)], file_name=written)
    dataset = load(some.root)
    assert {split: [i["file_name"] for i in read_split(dataset, split)["images"]] for split in dataset.splits} == {
        "train": [f"images/train/{i}.jpg" for i in range(3)],
        "valid": [f"images/val/{i}.jpg" for i in range(3)],
    }


def test_a_file_of_no_image_says_so(some: Any) -> None:
    two_splits(some)
    for i in range(6):
        (some.root / f"images/val/v{i}.jpg").unlink()
    with pytest.raises(DataError, match=r"expected the images of valid, got 'annotations/val.json: image-missing"):
        load(some.root)


def test_a_picture_of_another_split_is_not_meant(some: Any) -> None:
    two_splits(some)
    some.coco("annotations/test.json", ["pictures/one.jpg", "other/t0.jpg"])
    (some.root / "other/t0.jpg").unlink()  # images/train has another one of this name
    assert rules(load(some.root)) == {("test", "image-missing"): 1}


def test_a_file_name_that_could_be_two_pictures_names_both(some: Any) -> None:
    two_splits(some)
    some.coco("annotations/test.json", ["a/x.jpg", "b/x.jpg", "test/y.jpg"])
    [_, told] = [f for f in read_findings(load(some.root).health) if f.split == "test"]
    assert (told.rule, told.detail) == ("image-ambiguous", "x.jpg with 1 annotations: a/x.jpg or b/x.jpg")


# --- layouts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "valid", "images"),
    [
        (
            "annotations/instances_Train.json",
            "annotations/instances_Validation.json",
            ("images/Train", "images/Validation"),
        ),
        ("train/labels.json", "validation/labels.json", ("train/data", "validation/data")),
        ("train/_annotations.coco.json", "valid/_annotations.coco.json", ("train", "valid")),
        ("train/annotations.json", "val/annotations.json", ("train/images", "val/images")),
        ("train.json", "val.json", ("train", "val")),
        ("annotations/instances_train2017.json", "annotations/instances_val2017.json", ("train2017", "val2017")),
        (
            "annotations/person_keypoints_train2017.json",
            "annotations/person_keypoints_val2017.json",
            ("train2017", "val2017"),
        ),
        ("set-1/train/_annotations.coco.json", "set-1/valid/_annotations.coco.json", ("set-1/train", "set-1/valid")),
    ],
)
def test_layouts_of_exporters(some: Any, train: str, valid: str, images: tuple[str, str]) -> None:
    some.coco(train, [f"{images[0]}/{i}.jpg" for i in range(3)])
    some.coco(valid, [f"{images[1]}/{i}.jpg" for i in range(2)])
    dataset = load(some.root)
    assert sizes(dataset) == {"train": (3, 3), "valid": (2, 2)}
    assert rules(dataset) == {}
    assert load(some.root) == dataset  # from the cache, also where the folder is in a folder


def test_files_beside_the_annotations_are_told_and_left(some: Any) -> None:
    two_splits(some)
    some.json("annotations/image_info_test2017.json", {"images": [], "categories": []})
    some.json("annotations/captions_val2017.json", {"images": [], "annotations": []})
    some.json("annotations/test.json", {"images": [{"id": 1, "file_name": "x.jpg"}], "categories": []})
    some.json("package.json", {"name": "x"})
    some.json("old/labelme/a.json", {"shapes": []})
    some.text("dvc.yaml", "stages: {prepare: {cmd: python prepare.py}}\n")
    dataset = load(some.root)
    assert sizes(dataset) == {"train": (6, 6), "valid": (6, 6)}
    assert rules(dataset) == {("test", "json-not-read"): 2, ("valid", "json-not-read"): 1, ("", "json-not-read"): 2}


@pytest.mark.parametrize(
    "written",
    [
        lambda i: f"./images/p{i}.jpg",
        lambda i: f"images/p{i}.jpg",
        lambda i: f"/content/set/images/p{i}.jpg",
        lambda i: f"D:\\set\\images\\p{i}.jpg",
        lambda i: f"data/obj_train_data/p{i}.jpg",
    ],
)
def test_lists_of_images(some: Any, written: Fixture) -> None:
    for i in range(10):
        some.image(f"images/p{i}.jpg")
        some.label(f"labels/p{i}.txt", BOX)
    some.text("train.txt", "".join(f"{written(i)}\n" for i in range(7)))
    some.text("lists/val.txt", "".join(f"{written(i)}\r\n" for i in (7, 8, 7)) + "nowhere.jpg")
    some.text("data.yaml", "path: /content/set\ntrain: train.txt\nval: lists/val.txt\nnames: {0: ant}\n")
    dataset = load(some.root)
    assert sizes(dataset) == {"train": (7, 7), "valid": (2, 2)}
    told = rules(dataset)
    assert told["valid", "image-twice"] == told["valid", "image-missing"] == 1
    assert told["", "folder-not-read"] == 1  # p9.jpg
    assert told["train", "orphan-label"] == 1


def run_lengths(x: int, y: int, w: int, h: int) -> dict[str, Any]:
    """Returns a rectangle as COCO's uncompressed runs."""
    counts = [x * 120 + y, *([h, 120 - h] * (w - 1)), h]
    return {"size": [120, 160], "counts": [*counts, 160 * 120 - sum(counts)]}


def test_boxes_are_taken_from_masks(some: Any) -> None:
    pytest_mask = pytest.importorskip("pycocotools.mask")
    runs = run_lengths(*BOX)
    polygon = [[40, 20, 70, 20, 70, 50, 40, 50]]
    packed = pytest_mask.frPyObjects(runs, 120, 160)["counts"].decode()
    two_splits(some)
    for mask in (runs, polygon, {"size": [120, 160], "counts": packed}):
        path = some.root / "annotations/train.json"
        some.coco("annotations/train.json", [f"images/train/t{i}.jpg" for i in range(6)], segmentation=mask)
        path.write_text(path.read_text().replace('"bbox"', '"no"'))
        dataset = load(some.root)
        assert boxes(dataset, "train") == [[40, 20, 30, 30]] * 6
        assert rules(dataset)["train", "box-from-mask"] == 6


# --- safe reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["EPS", "GIF", "PPM", "TGA", "PCX", "ICO"])
def test_other_formats_are_not_decoded_whatever_their_names(some: Any, suffix: str, monkeypatch: Any) -> None:
    from PIL import EpsImagePlugin, Image

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **more: pytest.fail("Ghostscript is asked"))
    two_splits(some)
    Image.new("RGB", (160, 120)).save(some.root / "images/train/t0.jpg", suffix)
    dataset = load(some.root)
    assert sizes(dataset)["train"] == (5, 5)
    [told] = [f for f in read_findings(dataset.health) if f.rule == "image-unreadable"]
    assert told.detail == "none of JPEG, PNG, BMP, WEBP, TIFF by its content"


def test_pipes_do_not_hang(some: Any) -> None:
    two_splits(some)
    for name in ("annotations/test.json", "data.yaml", "images/train/pipe.jpg", "pipe.xml"):
        os.mkfifo(some.root / name)
    dataset = load(some.root)
    assert sizes(dataset) == {"train": (6, 6), "valid": (6, 6)}
    assert rules(dataset) == {("", "not-a-file"): 4}
    with pytest.raises(DataError, match="got 'neither a folder nor a file'"):
        load(some.root, "data.yaml")


@pytest.mark.parametrize("name", ["annotations/val.json", "lists/val.txt"])
def test_metadata_that_leave_the_set_are_not_read(some: Any, tmp_path: Path, name: str) -> None:
    if name.endswith("json"):
        two_splits(some)
    else:
        yolo(some, {"train": "train/images", "val": "val/images"}, f"train: train\nval: {name}\nnames: [ant]\n")
        some.text(name, "".join(f"val/images/val{i}.jpg\n" for i in range(6)))
    (some.root / name).rename(tmp_path / "secret")
    (some.root / name).symlink_to(tmp_path / "secret")
    assert "expected a valid split" in refusal(load(some.root))


def test_many_boxes_in_an_image_are_compared_by_where_they_are(some: Any) -> None:
    """Counts comparisons of boxes, not seconds: of 2,000 boxes each is compared with those at its place alone."""
    yolo(some, {"train": "train/images", "val": "val/images"}, "train: train\nval: val\nnames: [ant, bee]\n", 1)
    lines = [f"0 {0.3 + 0.0002 * i:.4f} .5 .2 .2\n" for i in range(2000)]
    some.text("train/labels/train0.txt", "".join([*lines, *lines[:500], "1" + lines[0][1:]]))
    calls = 0

    def count(frame: Any, event: str, _: object) -> None:
        nonlocal calls
        calls += (
            event == "call" and frame.f_code.co_name == "<genexpr>" and frame.f_code.co_filename.endswith("convert.py")
        )

    sys.setprofile(count)
    try:
        dataset = load(some.root)
    finally:
        sys.setprofile(None)
    assert sizes(dataset)["train"] == (1, 2001)
    assert rules(dataset) == {("train", "duplicate-box"): 500, ("train", "same-box-two-classes"): 1}
    assert calls < 20_000
