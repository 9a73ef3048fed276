"""The parts of the lean modules alone, against Detectron2's functions and by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import FastRCNNOutputLayers, StandardROIHeads
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes, pairwise_iou
from torchvision.ops.boxes import batched_nms

from agropest.modeling.lean import conversion, known, normalisation, optimizer
from agropest.modeling.lean.geometry import anchors, boxes, sampling, suppression
from benchmarks.bench_launches import count_iteration
from tests.modeling.lean.conftest import CASCADE, FROZEN, Pair, draw_batch, small_cfg


def some_boxes(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=generator) * 60
    return torch.cat([corner, corner + 0.5 + torch.rand(n, 2, generator=generator) * 30], dim=1)


def test_overlaps_and_deltas_are_detectron2s() -> None:
    first, second, deltas = some_boxes(7), some_boxes(301, 1), some_boxes(301, 2) / 20
    expected = pairwise_iou(Boxes(first), Boxes(second))
    assert boxes.pairwise_iou(boxes.planes(first), boxes.planes(second)).equal(expected)
    for weights in ((1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)):
        transform = Box2BoxTransform(weights=weights)
        assert boxes.is_known(transform)
        assert boxes.encode(second, some_boxes(301, 3), transform).equal(
            transform.get_deltas(second, some_boxes(301, 3))
        )
        by_class = torch.cat([deltas, deltas.flip(0)], dim=1)
        assert boxes.decode(by_class, second, transform).equal(transform.apply_deltas(by_class, second))
    assert not boxes.is_known(Box2BoxTransform(weights=(10.0, 5.0, 5.0, 5.0)))


def test_a_stage_of_a_cascade_may_be_left_without_proposals() -> None:
    transform = Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0))
    nothing = torch.zeros(0, 4)
    assert boxes.decode(nothing, nothing, transform).equal(transform.apply_deltas(nothing, nothing))
    pair = Pair(small_cfg(*CASCADE))
    for trainer in (pair.stock, pair.lean):  # every box of the first stage is beyond the picture, so it is empty
        trainer.model.roi_heads.box_predictor[0].bbox_pred.bias.data[:2] = 1e5
    for number in range(2):
        pair.train(draw_batch(number))


def test_iou_by_hand() -> None:
    one = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    others = torch.tensor([[2.0, 0.0, 6.0, 2.0], [4.0, 0.0, 6.0, 2.0], [0.0, 0.0, 4.0, 2.0]])
    # 4 / (8 + 8 - 4) = 1 / 3; they touch: 0; the same: 1
    found = boxes.pairwise_iou(boxes.planes(one), boxes.planes(others))
    torch.testing.assert_close(found, torch.tensor([[1 / 3, 0.0, 1.0]]))


def test_frozen_normalisation_follows_its_buffers() -> None:
    stock = FrozenBatchNorm2d(3)
    lean = copy.deepcopy(stock)
    lean.__class__ = normalisation.LeanFrozenBatchNorm2d
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    for change in range(3):
        if change == 1:
            for norm in (stock, lean):
                norm.load_state_dict({name: torch.full((3,), 2.0) for name in norm.state_dict()})
        if change == 2:
            stock.weight, lean.weight = torch.full((3,), 0.5), torch.full((3,), 0.5)  # another object, as .to() makes
        assert lean(x).equal(stock(x))
    copied = copy.deepcopy(lean)
    copied.bias.add_(1.0)
    assert not copied(x).equal(lean(x))
    assert lean.state_dict().keys() == stock.state_dict().keys()


def test_anchors_are_made_once_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = DefaultAnchorGenerator(sizes=[[8], [16]], aspect_ratios=[[0.5, 1.0]], strides=[4, 8])
    lean = copy.deepcopy(stock)
    lean.__class__ = anchors.LeanAnchorGenerator
    shapes = {side: [torch.zeros(1, 1, side, side), torch.zeros(1, 1, side // 2, side // 2)] for side in (4, 6, 8)}
    for side, maps in shapes.items():
        for mine, theirs in zip(lean(maps), stock(maps), strict=True):
            assert mine.tensor.equal(theirs.tensor), side
    first = lean.grid(shapes[8])
    assert first.starts == (0, 128)  # 8 x 8 cells of 2 anchors
    assert lean.grid(shapes[8]) is first
    # 160 anchors of 13 numbers of 4 bytes: with room for one shape, another one takes its place.
    monkeypatch.setattr(anchors, "KEPT_BYTES", 160 * 13 * 4)
    lean.grid([torch.zeros(1, 1, 6, 8), torch.zeros(1, 1, 3, 4)])
    assert lean.grid(shapes[8]) is not first


def test_an_anchor_without_a_side_is_an_error() -> None:
    lean = DefaultAnchorGenerator(sizes=[[0]], aspect_ratios=[[1.0]], strides=[4])
    lean.__class__ = anchors.LeanAnchorGenerator
    with pytest.raises(ValueError, match=r"MODEL.ANCHOR_GENERATOR"):
        lean.grid([torch.zeros(1, 1, 2, 2)])


@pytest.mark.parametrize("counts", [(3, 20), (40, 0), (0, 5)])
def test_draws_are_detectron2s(counts: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([1] * counts[0] + [0] * counts[1] + [-1] * 4)
    images = [labels[torch.randperm(len(labels), generator=generator)] for _ in range(2)]
    torch.manual_seed(7)
    expected = [subsample_labels(one, 12, 0.5, 0) for one in images]
    after = torch.rand(1)
    torch.manual_seed(7)
    together = torch.cat(images)
    sample = sampling.draw(together == 1, together == 0, [len(labels)] * 2, 12, 0.5)
    assert torch.rand(1).equal(after)  # no more and no fewer numbers were drawn
    for image, (positive, negative) in enumerate(expected):
        assert sample.positive[image].equal(positive + image * len(labels))
        assert sample.negative[image].equal(negative + image * len(labels))


@pytest.mark.parametrize("sizes", [(400, 200, 30), (900, 300, 1), (0, 12, 0), (0, 0, 0)])
def test_suppression_is_torchvisions(sizes: tuple[int, ...]) -> None:
    n = sum(sizes)
    its_boxes, scores = some_boxes(n), (torch.arange(n) * 7919 % 251) / 251.0  # many ties
    group = torch.tensor([g for g, size in enumerate(sizes) for _ in range(size)], dtype=torch.int64)
    assert suppression.suppress(its_boxes, scores, sizes, 0.6).equal(batched_nms(its_boxes, scores, group, 0.6))


def test_clipping_is_torchs() -> None:
    theirs = [torch.nn.Parameter(torch.zeros(n)) for n in (3, 40, 7)]
    for scale, p in zip((0.1, 5.0, 0.0), theirs, strict=True):
        p.grad = torch.full_like(p, scale)
    ours = [p.grad.clone() for p in theirs]
    optimizer.clip_norms(ours, 1.0)
    for p, mine in zip(theirs, ours, strict=True):
        torch.nn.utils.clip_grad_norm_(p, 1.0, 2.0)
        assert p.grad.equal(mine)


def test_the_fused_kernel_is_used_only_where_it_rounds_alike() -> None:
    assert optimizer.fused_is_equal() in (True, False)
    cfg = small_cfg("SOLVER.CLIP_GRADIENTS.ENABLED", True)  # by value: Detectron2's own clipping stays
    assert not isinstance(Pair(cfg).lean.optimizer, optimizer.LeanSGD)


def test_other_source_and_subclasses_stay_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "detectron2.modeling.proposal_generator.rpn.RPN.losses"
    known.is_known_source.cache_clear()
    with monkeypatch.context() as patched:
        patched.setitem(known.DIGESTS, name, "another")
        lean = Pair(small_cfg()).lean.model
        assert type(lean.proposal_generator) is RPN
        assert type(lean.roi_heads).__name__ == "LeanROIHeads"
    known.is_known_source.cache_clear()

    class OwnHeads(StandardROIHeads):
        pass

    model = Pair(small_cfg()).stock.model
    model.roi_heads.__class__ = OwnHeads
    found = conversion.make_lean(model)
    assert type(model.roi_heads) is OwnHeads
    assert "LeanROIHeads" not in found
    assert found["LeanOutputLayers"] == 1


def test_every_replaced_function_is_known_by_its_digest() -> None:
    named = {known._name(function) for functions in known.REPLACED.values() for function in functions}
    assert len(named) > 40
    assert named == set(known.DIGESTS)
    assert {stock.__name__ for stock in conversion.LEAN if not known.is_known_source(stock)} == set()
    assert known.digest(FastRCNNOutputLayers.losses) != known.digest(FastRCNNOutputLayers.box_reg_loss)


def test_an_iteration_reads_the_host_four_times() -> None:
    """Which anchors and proposals are positive, whether boxes are finite, whose feature map is whose; once more where
    some boxes are empty."""
    pair = Pair(small_cfg(*FROZEN))
    counts: dict[str, Any] = {}
    for name, trainer in (("stock", pair.stock), ("lean", pair.lean)):
        trainer.batches = iter([draw_batch(0), draw_batch(1)])
        count_iteration(trainer)  # makes the anchors
        counts[name] = count_iteration(trainer)
    assert set(counts["lean"]["forward"].reads) == {"tolist"}
    assert counts["lean"]["forward"].reads["tolist"] in (4, 5)
    assert counts["stock"]["forward"].reads.total() > 40
    assert counts["lean"]["backward"].reads.total() == 0
    assert 2 * counts["lean"]["forward"].ops.total() < counts["stock"]["forward"].ops.total()
    assert 5 * counts["lean"]["optimizer"].ops.total() < counts["stock"]["optimizer"].ops.total()
