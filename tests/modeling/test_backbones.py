"""timm's backbones under Detectron2's FPN: shapes, weights from a file, frozen stages, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from detectron2.utils.events import EventStorage

from agropest.errors import EnvironmentFault, TrialError
from agropest.modeling.backbones.timm_fpn import TimmBackbone, fetched
from agropest.modeling.build import build

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")
ALL = ["res2", "res3", "res4", "res5"]
SMALL = "convnext_atto"


@pytest.mark.parametrize("name", [SMALL, "swin_tiny_patch4_window7_224", "resnet18"])
def test_a_detector_over_it_trains(make_cfg: Callable[..., Any], batch: list[dict[str, Any]], name: str) -> None:
    torch.manual_seed(0)
    model = build(make_cfg("MODEL.BACKBONE.NAME", "build_timm_fpn_backbone", "MODEL.TIMM.NAME", name)).train()
    with EventStorage():
        losses = model(batch)
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    first = next(p for p in model.backbone.bottom_up.parameters())
    assert first.grad is not None and first.grad.isfinite().all()


def test_maps_have_the_strides_and_channels_they_are_said_to_have() -> None:
    # A height of 384: Swin's first map is [N, 96, W, 96], so the shape alone does not tell where its channels are.
    for name, channels in (("swin_tiny_patch4_window7_224", [96, 192, 384, 768]), (SMALL, [40, 80, 160, 320])):
        backbone = TimmBackbone(name, "", ALL, 0).eval()
        with torch.no_grad():
            maps = backbone(torch.zeros(1, 3, 384, 64))
        shapes = [tuple(maps[stage].shape[1:]) for stage in ALL]
        assert shapes == [(c, 384 // s, 64 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)]
        declared = backbone.output_shape()
        assert [(declared[s].channels, declared[s].stride) for s in ALL] == list(
            zip(channels, (4, 8, 16, 32), strict=True)
        )


def test_weights_come_from_a_local_file(tmp_path: Path) -> None:
    torch.manual_seed(5)
    whole = timm.create_model(SMALL)  # with a classifier, as timm's own files have
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    torch.manual_seed(6)
    backbone = TimmBackbone(SMALL, str(tmp_path / "weights.pth"), ALL, 0)
    theirs = {name.replace(".", "_"): value for name, value in whole.state_dict().items()}
    ours = {name.replace(".", "_"): value for name, value in backbone.body.state_dict().items()}
    assert len(ours) > 50
    assert all(value.equal(theirs[name]) for name, value in ours.items())


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> Any:
            return Path.touch, (marker,)

    torch.save({"x": Attack()}, tmp_path / "weights.pth")
    with pytest.raises(EnvironmentFault, match=r"MODEL\.TIMM\.WEIGHTS"):
        TimmBackbone(SMALL, str(tmp_path / "weights.pth"), ALL, 0)
    assert not marker.exists()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(EnvironmentFault, match=r"MODEL\.TIMM\.WEIGHTS"):
        TimmBackbone(SMALL, str(tmp_path / "weights.pth"), ALL, 0)


@pytest.mark.parametrize(("freeze_at", "first_free"), [(0, "stem"), (1, "stages_0"), (2, "stages_1"), (5, None)])
def test_freezing(freeze_at: int, first_free: str | None) -> None:
    parameters = list(TimmBackbone(SMALL, "", ALL, freeze_at).body.named_parameters())
    free = [name for name, parameter in parameters if parameter.requires_grad]
    assert free[0].startswith(first_free) if first_free else not free, free[:1]
    assert free == [name for name, _ in parameters][len(parameters) - len(free) :]


def test_only_the_stages_that_fpn_takes_go_on() -> None:
    maps = TimmBackbone(SMALL, "", ["res3", "res5"], 0)(torch.zeros(1, 3, 64, 64))
    assert list(maps) == ["res3", "res5"]


@pytest.mark.parametrize(
    ("name", "weights", "error", "says"),
    [
        ("convnext_tinny", "", TrialError, "convnext_tiny"),
        ("vit_tiny_patch16_224", "", TrialError, "stride 4, 8, 16 and 32"),
        (SMALL, "/no/such/file.pth", EnvironmentFault, "/no/such/file.pth"),
    ],
)
def test_errors_name_the_key(name: str, weights: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        TimmBackbone(name, weights, ALL, 0)
    assert "MODEL.TIMM." in str(caught.value)
    assert says in str(caught.value)


def test_timms_own_weights_come_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache as the Hugging Face hub lays it out, so that the real look-up finds it without a network."""
    import huggingface_hub.constants
    from safetensors.torch import save_file

    tag = next(tag for tag in timm.list_pretrained() if tag.startswith(SMALL + "."))
    cache = tmp_path / "hub"
    source = cache / f"models--{timm.get_pretrained_cfg(tag).hf_hub_id.replace('/', '--')}"
    (source / "refs").mkdir(parents=True)
    (source / "refs" / "main").write_text("0" * 40)
    (source / "snapshots" / ("0" * 40)).mkdir(parents=True)
    tensors = timm.create_model(SMALL).state_dict()
    save_file(tensors, source / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetched(f"timm://{tag}").is_file()
    body = TimmBackbone(SMALL, f"timm://{tag}", ALL, 0).body.state_dict()
    assert torch.equal(body["stem_0.weight"], tensors["stem.0.weight"])
    (source / "refs" / "main").unlink()
    with pytest.raises(EnvironmentFault, match=r"looked for model\.safetensors"):
        fetched(f"timm://{tag}")
    with pytest.raises(EnvironmentFault, match="did you mean"):
        fetched(f"timm://{tag}s")
