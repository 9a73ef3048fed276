"""Backbones of timm with Detectron2's FPN: ``MODEL.BACKBONE.NAME: build_timm_fpn_backbone``.

Shapes: N images, H x W input pixels, C channels of a stage.

timm's weights expect RGB scaled to ImageNet's mean and deviation: set ``INPUT.FORMAT: RGB``, ``MODEL.PIXEL_MEAN:
[123.675, 116.28, 103.53]`` and ``MODEL.PIXEL_STD: [58.395, 57.12, 57.375]`` beside them. Nothing is swapped here.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone.fpn import FPN, LastLevelMaxPool

from agropest.errors import EnvironmentFault, TrialError, fault, nearest

TIMM_SCHEME = "timm://"
SAFE_FILE = "model.safetensors"
SHA256_NAME = re.compile(r"[0-9a-f]{64}")
STAGES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}  # Detectron2's names, and strides


class TimmBackbone(Backbone):
    """The four stages of a timm model as Detectron2 features.

    Args:
        name: of a timm model with ``features_only`` and stages of stride 4, 8, 16 and 32.
        weights: a local file of timm's tensors (``.pth``, ``.bin``, ``.safetensors``), or ``timm://`` and the tag of
            timm's own weights (:func:`fetched`); empty for random weights.
        out_features: names out of :data:`STAGES`.
        freeze_at: Detectron2's: 0 nothing, 1 the stem, 2 the stem and res2, and so on.

    Attributes:
        filled: names of the body's tensors that the weights filled.
        unused: names of the file's tensors that the body does not have, such as the classifier's.

    Raises:
        EnvironmentFault: timm or the file of weights is missing.
        TrialError: timm does not know the model, or the model has other stages.
    """

    def __init__(self, name: str, weights: str, out_features: list[str], freeze_at: int) -> None:
        super().__init__()
        self.body, self.filled, self.unused = _create(name, weights)
        info = self.body.feature_info
        self._channels_are_last = str(getattr(self.body, "output_fmt", "NCHW")).endswith("NHWC")  # Swin's
        strides = info.reduction()[-4:]
        if strides != list(STAGES.values()):
            fix = f"{name} has others; take one such as swin_tiny_patch4_window7_224 or convnext_tiny"
            raise TrialError(fault("MODEL.TIMM.NAME", "expected stages of stride 4, 8, 16 and 32", strides, fix))
        self._freeze([name.replace(".", "_") for name in info.module_name()[-4:]], freeze_at)
        self._out_features = list(out_features)
        self._out_feature_channels = dict(zip(STAGES, info.channels()[-4:], strict=True))
        self._out_feature_strides = dict(STAGES)

    @property
    def size_divisibility(self) -> int:
        """Images are padded to a multiple of this."""
        return 32

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns feature name to [N, C, H / stride, W / stride] for images [N, 3, H, W]."""
        maps = self.body(images)[-4:]
        if self._channels_are_last:
            maps = [m.permute(0, 3, 1, 2).contiguous() for m in maps]
        found = dict(zip(STAGES, maps, strict=True))
        return {stage: found[stage] for stage in self._out_features}

    def _freeze(self, stage_modules: list[str], freeze_at: int) -> None:
        """Freezes the parameters before the first stage that stays free; timm registers modules in forward order."""
        if freeze_at <= 0:
            return
        first_free = stage_modules[freeze_at - 1] if freeze_at <= len(stage_modules) else None
        for name, parameter in self.body.named_parameters():
            if first_free is not None and name.replace(".", "_").startswith(first_free):
                break
            parameter.requires_grad = False


def _create(name: str, weights: str) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Returns timm's model, its tensors that the weights filled, and those of the file that it does not have."""
    try:
        import timm
    except ImportError:
        raise EnvironmentFault(fault("MODEL.TIMM", "needs the package timm", None, "pip install timm")) from None
    if not timm.is_model(name):
        raise TrialError(fault("MODEL.TIMM.NAME", "expected a model of timm", name, nearest(name, timm.list_models())))
    options: dict[str, Any] = {"features_only": True}
    if name.startswith("swin"):
        options["strict_img_size"] = False  # images of detection come in any size
    if not weights:
        return timm.create_model(name, **options), (), ()
    return _with_weights(name, fetched(weights) if weights.startswith(TIMM_SCHEME) else Path(weights), options)


def fetched(weights: str) -> Path:
    """Returns the local file of ``timm://<tag>``, e.g. ``timm://convnext_tiny.fb_in1k``: timm's weights on the
    Hugging Face hub, downloaded unless its cache has them. Only ``.safetensors`` is fetched: it cannot hold code.

    Raises:
        EnvironmentFault: timm has no weights of that tag, or they cannot be fetched.
    """
    import timm
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    tag = weights.removeprefix(TIMM_SCHEME)
    key, fix = "MODEL.TIMM.WEIGHTS", "fetch it with a browser and give the file: --set MODEL.TIMM.WEIGHTS=/where/it/is"
    known = timm.list_pretrained()
    if tag not in known:
        raise EnvironmentFault(fault(key, "expected timm:// and a tag of timm's weights", tag, nearest(tag, known)))
    source: str = timm.get_pretrained_cfg(tag).hf_hub_id  # type: ignore[union-attr,assignment]
    try:
        path = Path(hf_hub_download(source, SAFE_FILE))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        rule = f"looked for {SAFE_FILE} of {source} in the Hugging Face cache, then on its hub"
        raise EnvironmentFault(fault(key, rule, str(error).splitlines()[0], fix)) from None
    _require_whole(path)
    return path


def _require_whole(path: Path) -> None:
    """Refuses a file of the hub's cache that is not what its name there says: large files are named by their SHA-256.

    Raises:
        EnvironmentFault: it was damaged or replaced.
    """
    kept = path.resolve()
    if not SHA256_NAME.fullmatch(kept.name):
        return
    with open(kept, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != kept.name:
        rule, fix = "expected the file whose SHA-256 is its name", "remove it: it is fetched again by the next launch"
        raise EnvironmentFault(fault(str(kept), rule, found, fix))


def _with_weights(name: str, weights: Path, options: dict[str, Any]) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Returns what :func:`_create` does, filled from a file by timm's own fitting of names; makes sure that it is."""
    import timm

    if not weights.is_file():
        fix = "give a file that timm saved, or leave it empty for random weights"
        raise EnvironmentFault(fault("MODEL.TIMM.WEIGHTS", "expected a local file", str(weights), fix))
    fix = f"give a file of tensors of {name}"
    try:
        content = timm.models.load_state_dict(str(weights), device="cpu", weights_only=True)
        overlay = {"file": str(weights)}
        model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except Exception as error:  # a damaged file makes its reader raise almost anything
        raise EnvironmentFault(fault("MODEL.TIMM.WEIGHTS", f"cannot use {weights}", str(error), fix)) from None
    # timm passes over names that do not fit. It renames and reshapes tensors, so they are known by their sums.
    known = {_trace(tensor) for tensor in content.values()}
    missing = [key for key, p in model.named_parameters() if p.ndim > 1 and _trace(p.detach()) not in known]
    if missing:
        raise EnvironmentFault(fault("MODEL.TIMM.WEIGHTS", f"{weights} does not fill every layer", missing, fix))
    ours = {key: _trace(tensor) for key, tensor in model.state_dict().items()}
    filled = tuple(key for key, trace in ours.items() if trace in known)
    return model, filled, tuple(_left_over(content, ours.values()))


def _left_over(content: Mapping[str, torch.Tensor], traces: Iterable[tuple[int, float]]) -> Iterator[str]:
    """Yields the names of the tensors beyond those that ``traces`` are of."""
    taken = Counter(traces)
    for name, tensor in content.items():
        trace = _trace(tensor)
        if not taken[trace]:
            yield name
        taken[trace] -= taken[trace] > 0


def _trace(tensor: torch.Tensor) -> tuple[int, float]:
    return tensor.numel(), round(float(tensor.double().sum()), 6)


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Returns an FPN over a timm model, with p6 for the RPN as in Detectron2's ResNet FPN."""
    stages = list(cfg.MODEL.FPN.IN_FEATURES) or list(STAGES)
    timm_model = TimmBackbone(cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.WEIGHTS, stages, cfg.MODEL.BACKBONE.FREEZE_AT)
    return FPN(
        bottom_up=timm_model,
        in_features=stages,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
