"""A picture's file: its bytes are compared with the hash that is part of the data set's fingerprint."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from detectron2.data import detection_utils
from PIL import Image

from agropest.data.decoding import FORMATS
from agropest.errors import ChangedInput, TrialError, fault

# Errors of reading that are the picture's own: Pillow's have no number.
PICTURES_OWN = (None, errno.ENOENT, errno.EISDIR, errno.EACCES)


def read_image(record: Mapping[str, Any], image_format: str) -> np.ndarray:
    """Returns the image of a data set dict, uint8 [H, W, C], as Detectron2's ``read_image`` does.

    Args:
        record: with ``file_name``, ``width`` and ``height``; where it has ``sha256``, the file must have that hash.
        image_format: ``INPUT.FORMAT``.

    Raises:
        ChangedInput: the file is gone, or is not the one that the sweep was planned with.
        TrialError: it is no image, or has another size than the data set says.
        OSError: of the disk or the network.
    """
    name, fix = str(record["file_name"]), "check the data set"
    content = _content(record)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as file:
            upright = detection_utils._apply_exif_orientation(file)
            image = detection_utils.convert_PIL_to_numpy(upright, image_format)
        detection_utils.check_image_size(dict(record), image)  # adds missing sizes to what it is given
    except detection_utils.SizeMismatchError:  # a ValueError
        rule = f"expected {record['width']} x {record['height']} pixels, as the data set says"
        raise TrialError(fault(name, rule, f"{image.shape[1]} x {image.shape[0]}", fix)) from None
    except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: Pillow's, of a broken PNG
        raise TrialError(fault(name, "expected an image that can be read", str(error), fix)) from None
    return np.array(image)


def _content(record: Mapping[str, Any]) -> bytes:
    """Returns the file's bytes, from which the image is decoded: nothing can be replaced between check and use."""
    name, expected = str(record["file_name"]), record.get("sha256")
    try:
        with open(name, "rb") as file:
            content = file.read()
    except OSError as error:
        if error.errno not in PICTURES_OWN:
            raise  # the disk's or the network's: the trial is tried again
        if expected:
            raise _changed(name, error.strerror) from None
        rule = "expected an image that can be read"
        raise TrialError(fault(name, rule, error.strerror, "check the data set")) from None
    if expected and hashlib.sha256(content).hexdigest() != expected:
        raise _changed(name, "a file with other bytes")
    return content


def _changed(name: str, found: object) -> ChangedInput:
    fix = "bring the right one back, or launch again, which takes the data as it is now: those are other trials"
    return ChangedInput(fault(name, "expected the picture that the sweep was planned with", found, fix))
