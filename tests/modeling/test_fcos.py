"""FCOS of a YAML config is the zoo's, which is a Python config; it continues from a checkpoint as RetinaNet does."""

from __future__ import annotations

import copy

import torch
from detectron2 import model_zoo
from detectron2.config import LazyConfig, instantiate
from detectron2.utils.events import EventStorage

from agropest.modeling.build import build
from agropest.modeling.fcos import group_norm
from agropest.sweep.detectron2_keys import detectron2_folder, nest, read_config_file
from agropest.training.trainer import TrialTrainer
from tests.modeling.lean.conftest import RETINANET, draw_batch, small_cfg

SETTINGS = (
    *("MODEL.META_ARCHITECTURE", "FCOS", "MODEL.BACKBONE.NAME", "build_fcos_resnet_fpn_backbone"),
    *("MODEL.RETINANET.NORM", "GN", "MODEL.RETINANET.NMS_THRESH_TEST", 0.6),
)


def test_the_model_is_that_of_the_zoos_python_config() -> None:
    from detectron2.config import CfgNode, get_cfg

    from agropest.modeling.config import add_agropest_config

    zoo = detectron2_folder() / "model_zoo" / "configs" / "COCO-Detection"
    cfg = get_cfg()
    add_agropest_config(cfg)
    cfg.merge_from_other_cfg(CfgNode(nest(read_config_file(zoo / "retinanet_R_50_FPN_1x.yaml"))))
    cfg.merge_from_list([*SETTINGS, "MODEL.DEVICE", "cpu", "MODEL.RETINANET.SCORE_THRESH_TEST", 0.2])
    ours = build(cfg)
    lazy = LazyConfig.load(model_zoo.get_config_file("COCO-Detection/fcos_R_50_FPN_1x.py")).model
    assert lazy.head.norm == "GN"
    lazy.head.norm = group_norm  # today's torch has no GroupNorm of one channel, for which the head asks
    theirs = instantiate(lazy)
    shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (ours, theirs)]
    assert shapes[0] == shapes[1]
    plain = [{k: v for k, v in vars(one).items() if isinstance(v, int | float | str)} for one in (ours, theirs)]
    assert plain[0] == plain[1]
    assert plain[0]["test_nms_thresh"] == 0.6
    assert ours.head_in_features == list(theirs.head_in_features)
    theirs.load_state_dict(ours.state_dict())
    picture = {"image": torch.zeros(3, 96, 96, dtype=torch.uint8), "height": 96, "width": 96}
    with torch.no_grad():
        for one in (ours, theirs):
            one.eval()
            one.test_score_thresh = 0.0
        found = [one([picture])[0]["instances"] for one in (ours, theirs)]
    assert len(found[0]) > 10
    assert found[0].pred_boxes.tensor.equal(found[1].pred_boxes.tensor)


def test_it_trains_and_continues_from_a_checkpoint() -> None:
    cfg = small_cfg(*RETINANET, *SETTINGS)
    one, two = TrialTrainer(cfg, "cpu"), TrialTrainer(cfg, "cpu")
    one.batches = iter([draw_batch(0), draw_batch(1)])
    with EventStorage(0):
        one.run_step()
        saved = copy.deepcopy(one.state())
        assert set(saved["unsaved"]) == {"loss_normalizer"}
        one.iter = 1
        one.run_step()
        two.load_state(saved)
        two.iter, two.batches = 1, iter([draw_batch(1)])
        two.run_step()
    assert set(one._recent[-1]) == {"loss_fcos_cls", "loss_fcos_loc", "loss_fcos_ctr"}
    assert one._recent[-1] == two._recent[-1]
    weights = one.model.state_dict()
    assert [name for name, value in two.model.state_dict().items() if not value.equal(weights[name])] == []


def test_a_model_folder_keeps_its_key_and_says_that_it_needs_this_project() -> None:
    from agropest.deployment.config import deployed_config
    from agropest.sweep.detectron2_keys import default_config
    from agropest.sweep.trial import TrialSpec

    named = dict(zip(SETTINGS[::2], SETTINGS[1::2], strict=True))
    config = deployed_config(TrialSpec("fcos", 1, {**default_config(), **named}, "data"))
    assert config.needs_code == ("build_fcos_resnet_fpn_backbone", "FCOS")
    assert config.needs_keys
    assert config.keys["MODEL.FCOS.CENTER_SAMPLING_RADIUS"] == 1.5
