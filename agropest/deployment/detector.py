"""A detector that is ready to look at pictures: a model folder's, or any built model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from PIL import Image

from agropest.data.decoding import FORMATS
from agropest.deployment.model_folder import ModelFolder
from agropest.deployment.weights import read_weights
from agropest.errors import EnvironmentFault, StoreError, TrialError, fault
from agropest.modeling.build import build
from agropest.training.evaluation import TestTimeAugmentation
from agropest.training.input.mapper import TestMapper

Picture = dict[str, Any]


class Detector:
    """A model in evaluation mode with the preparation of its pictures.

    Args:
        cfg: its config.
        state: its weights.
        device: "cpu" or "cuda".

    Attributes:
        plain: the model itself, without test-time augmentation.
    """

    def __init__(self, cfg: CfgNode, state: dict[str, torch.Tensor], device: str = "cpu") -> None:
        self.cfg, self.device = cfg, device
        self.plain = build(cfg).to(device).eval()
        self.plain.load_state_dict(state)
        self.model = TestTimeAugmentation(cfg, self.plain) if cfg.TEST.AUG.ENABLED else self.plain
        self._mapper = TestMapper(cfg)

    def prepare(self, path: Path) -> Picture:
        """Returns the model's input for a picture: read as Detectron2 reads it, at the size it was evaluated at.

        Raises:
            TrialError: the picture cannot be read.
        """
        height, width = picture_size(path, self.cfg.INPUT.FORMAT)
        return self._mapper({"file_name": str(path), "image_id": 0, "height": height, "width": width})

    def detect(self, path: Path) -> Any:
        """Returns Detectron2's ``Instances`` of a picture on the CPU, in its own pixels, most confident first.

        Raises:
            TrialError: the picture cannot be read.
        """
        item = self.prepare(path)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.meshgrid")  # Detectron2's, on today's torch
            return self.model([item])[0]["instances"].to("cpu")


def choose_device(wanted: str = "") -> str:
    """Returns "cuda" where there is a GPU, or the device that is wanted.

    Raises:
        EnvironmentFault: "cuda" is wanted and there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise EnvironmentFault(fault("--device", "expected a GPU that torch sees", "cuda", "leave it out, or give cpu"))
    return wanted or ("cuda" if available else "cpu")


def open_detector(folder: ModelFolder, device: str = "") -> Detector:
    """Returns the detector of a model folder.

    Args:
        device: "cpu" or "cuda"; empty: a GPU where there is one.

    Raises:
        StoreError: the folder lacks something, or the weights do not fit the config.
        EnvironmentFault: "cuda" was asked for and there is none.
    """
    cfg = folder.config(choose_device(device))
    try:
        return Detector(cfg, read_weights(folder.weights), cfg.MODEL.DEVICE)
    except (RuntimeError, ValueError, AssertionError, TrialError) as error:  # of building, and of load_state_dict
        if isinstance(error, RuntimeError) and "state_dict" not in str(error):
            raise
        fix = "both were changed apart: write the folder again"
        value = str(error).splitlines()[-1].strip()
        raise StoreError(fault(str(folder.path), "expected weights that fit config.yaml", value, fix)) from None


def picture_size(path: Path, image_format: str) -> tuple[int, int]:
    """Returns height and width of a picture as it is displayed.

    Raises:
        TrialError: it cannot be read.
    """
    from detectron2.data import detection_utils

    try:
        Image.open(path, formats=FORMATS).close()  # Detectron2 would hand EPS to Ghostscript
        return detection_utils.read_image(str(path), image_format).shape[:2]  # type: ignore[no-any-return]
    except (OSError, SyntaxError, ValueError) as error:
        value = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrialError(fault(str(path), "expected a picture that can be read", value, "look at that file")) from None
