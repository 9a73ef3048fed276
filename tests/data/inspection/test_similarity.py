from __future__ import annotations

import io
import random
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.data.health import read_findings
from agropest.data.inspection.contact_sheet import draw_contact_sheet, worst_offenders
from agropest.data.inspection.similarity import (
    HashedPicture,
    Pair,
    find_pairs,
    hash_file,
    hash_pictures,
    hashes_of_views,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "set"
    draw_demo_dataset(folder, seed=1, train=40, valid=10, test=10, image_size_px=160)
    return folder


def copies(image: Image.Image) -> dict[str, Image.Image]:
    small = image.resize((image.width // 2, image.height // 2))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=40)
    return {
        "recompressed": Image.open(content),
        "smaller": small,
        "brighter": ImageEnhance.Brightness(image).enhance(1.15),
        "mirrored": ImageOps.mirror(image),
        "turned": image.transpose(Image.Transpose.ROTATE_90),
        "upside-down": ImageOps.flip(image),
    }


def test_copies_are_near_and_others_are_not(drawn: Path, tmp_path: Path) -> None:
    paths = sorted((drawn / "train/images").iterdir())[:12]
    hashed = [HashedPicture("train", p.name, p.stem, *hash_file(p)) for p in paths]
    assert find_pairs(hashed) == []
    with Image.open(paths[0]) as image:
        for name, copy in copies(image.convert("RGB")).items():
            copy.save(tmp_path / f"{name}.png")
            found = HashedPicture("valid", name, name, *hash_file(tmp_path / f"{name}.png"))
            [pair] = find_pairs([*hashed, found])
            assert (pair.kind, pair.file_a, pair.file_b, pair.leaks) == ("near", paths[0].name, name, True)


def test_hashes_are_those_of_every_view(drawn: Path) -> None:
    for path in sorted((drawn / "train/images").iterdir())[:12]:
        with Image.open(path) as image:
            grey = image.convert("L").resize((64, 64), Image.Resampling.BOX)
        pixels = np.asarray(grey)
        views = [np.rot90(face, turns) for face in (pixels, pixels[:, ::-1]) for turns in range(4)]
        expected = [imagehash.phash(Image.fromarray(np.ascontiguousarray(view))) for view in views]
        bits = [int(np.packbits(found.hash).view(">u8")[0]) for found in expected]
        plain, *others = hashes_of_views(grey)
        assert plain == bits[0]
        # A turned picture is rounded elsewhere when it is made smaller, so that a bit next to the median may differ.
        for bit in bits:
            assert min((bit ^ found).bit_count() for found in (plain, *others)) <= 2


def test_kinds_of_pairs() -> None:
    def picture(split: str, file: str, source: str, sha: str, *hashes: int) -> HashedPicture:
        return HashedPicture(split, file, source, sha, hashes * 8)

    pictures = [
        picture("train", "a.rf.1.jpg", "a", "x", 0b0),
        picture("train", "a.rf.2.jpg", "a", "y", 0b11),  # an augmented copy in the same split: as it should be
        picture("valid", "a.rf.3.jpg", "a", "z", 2**64 - 1),  # the same source in another split
        picture("test", "b.jpg", "b", "x", 2**40 - 1),  # the same bytes
        picture("train", "c.jpg", "c", "w", 2**33 - 1),  # 7 bits from b
        picture("train", "d.jpg", "d", "v", 2**34 - 1),  # 6 bits from b, 1 from c
        picture("train", "e.jpg", "e", "u"),
        picture("train", "f.jpg", "f", "t"),
    ]
    assert find_pairs(pictures) == [
        Pair("exact", "train", "a.rf.1.jpg", "test", "b.jpg", 0),
        Pair("near", "test", "b.jpg", "train", "d.jpg", 6),
        Pair("same-source", "train", "a.rf.1.jpg", "valid", "a.rf.3.jpg", None),
        Pair("near", "train", "c.jpg", "train", "d.jpg", 1),
    ]
    assert find_pairs([]) == []


@pytest.mark.parametrize("near_bits", [0, 1, 3, 6, 10, 40])
def test_near_pairs_are_those_of_a_search_through_all(near_bits: int) -> None:
    draw = random.Random(near_bits)
    plain = [draw.getrandbits(64) for _ in range(30)]
    for _ in range(60):  # others, a few bits away from one of these
        bits = draw.sample(range(64), draw.randrange(13))
        plain.append(draw.choice(plain[:30]) ^ sum(1 << bit for bit in bits))
    pictures = []
    for number, value in enumerate(plain):
        turned = tuple(value ^ draw.getrandbits(64) for _ in range(7))
        pictures.append(HashedPicture("train", f"{number}", f"s{number}", f"{number}", (value, *turned)))
    expected = {
        (a, b): min((plain[a] ^ view).bit_count() for view in pictures[b].hashes)
        for a in range(len(plain))
        for b in range(a + 1, len(plain))
    }
    found = {(int(p.file_a), int(p.file_b)): p.bits for p in find_pairs(pictures, near_bits)}
    assert found == {pair: bits for pair, bits in expected.items() if bits <= near_bits}
    assert len(found) > (0 if near_bits == 0 else 5)


def test_even_surfaces_are_compared_by_their_bytes_alone(tmp_path: Path) -> None:
    for name, grey in (("a", 100), ("b", 101)):
        Image.new("RGB", (50, 50), (grey,) * 3).save(tmp_path / f"{name}.png")
    hashed = [HashedPicture("train", name, name, *hash_file(tmp_path / f"{name}.png")) for name in "ab"]
    assert find_pairs(hashed) == []


def spoiled(drawn: Path, tmp_path: Path) -> Dataset:
    """Returns the drawn set after a leak, an unreadable image and bad lines were put into it."""
    root = tmp_path / "spoiled"
    images = sorted((drawn / "train/images").iterdir())
    for path in drawn.rglob("*"):
        if path.is_file() and path.name != "drawn.json":
            target = root / path.relative_to(drawn)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (root / "valid/images/leak.jpg").write_bytes(images[0].read_bytes())
    (root / "valid/labels/leak.txt").write_text("")
    (root / "train/images" / images[1].name).write_bytes(b"no picture")
    label = root / "train/labels" / f"{images[2].stem}.txt"
    label.write_text("0 0.9 0.5 0.6 0.4\n1 0.5 0.5 0 0.1\n99 0.2 0.2 0.1 0.1\n2 0.3 0.7 0.2 0.2\n")
    return load_dataset(root, tmp_path / "cache")


def test_the_worst_are_found_and_drawn(drawn: Path, tmp_path: Path) -> None:
    dataset = spoiled(drawn, tmp_path)
    pairs = find_pairs(hash_pictures(dataset, 1))
    assert [(pair.kind, pair.leaks, Path(pair.file_b).name) for pair in pairs] == [("exact", True, "leak.jpg")]
    images = sorted(path.name for path in (drawn / "train/images").iterdir())
    offenders = worst_offenders(dataset, read_findings(dataset.health))
    assert [Path(offender.file).name for offender in offenders] == [images[2], images[1]]
    worst = offenders[0]
    assert worst.caption == "class-out-of-range dropped, no-size dropped, over-border clipped"
    assert [name for _, name in worst.good] == ["Ants", "Beetles"]
    assert worst.bad == ((96.0, 48.0, 192.0, 112.0), (80.0, 72.0, 80.0, 88.0))
    sheet = draw_contact_sheet(dataset, offenders, pairs)
    assert sheet is not None
    assert sheet.width == 1200
    pixels = np.asarray(sheet).reshape(-1, 3)
    for colour in ((60, 200, 80), (235, 40, 40)):
        assert (pixels == colour).all(axis=1).sum() > 200
    assert len(worst_offenders(dataset, read_findings(dataset.health), most=1)) == 1


def test_nothing_wrong_draws_nothing(drawn: Path, tmp_path: Path) -> None:
    dataset = load_dataset(drawn, tmp_path / "cache")
    assert draw_contact_sheet(dataset, worst_offenders(dataset, read_findings(dataset.health))) is None
