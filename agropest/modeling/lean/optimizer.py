"""Stochastic gradient descent with one kernel for all parameters, at the bits of the plain loop.

Detectron2's gradient clipping by norm goes through the parameters one by one; here the norms of all are taken at once.
On the CPU torch's fused kernel reads and writes each number once, where the plain loop goes over it five times. It
rounds the last few numbers of a tensor whose length is not a multiple of a vector's differently, so those tensors keep
the plain loop, as does a machine on which :func:`fused_is_equal` finds any difference.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from functools import lru_cache
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import Tensor
from torch.optim.sgd import sgd

# Numbers of the widest vector (AVX-512), and a multiple of every narrower one.
VECTOR = 16
OPTIONS = ("weight_decay", "momentum", "lr", "dampening", "nesterov", "maximize")


class LeanSGD(torch.optim.SGD):
    """``torch.optim.SGD``, with Detectron2's gradient clipping where the config asks for it.

    Attributes:
        clip_norm: highest norm of each parameter's gradient; 0: gradients are not clipped.
    """

    clip_norm: float = 0.0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Changes the parameters by one step."""
        if closure is not None:
            raise TypeError("a closure is not supported")
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params and self.clip_norm:
                clip_norms([p.grad for p in params], self.clip_norm)
            fused = [p for p in params if self._may_be_fused(group, p)]
            chosen = {id(p) for p in fused}
            self._update(group, fused, fused=True)
            self._update(group, [p for p in params if id(p) not in chosen], fused=None)

    def _may_be_fused(self, group: dict[str, Any], p: Tensor) -> bool:
        is_like_the_trial = p.device.type == "cpu" and p.dtype == torch.float32 and p.numel() % VECTOR == 0
        is_plain = not (group["nesterov"] or group["maximize"] or group["dampening"])
        has_begun = group["momentum"] == 0 or self.state[p].get("momentum_buffer") is not None
        return is_like_the_trial and is_plain and has_begun and fused_is_equal()

    def _update(self, group: dict[str, Any], params: list[Tensor], fused: bool | None) -> None:
        if not params:
            return
        buffers = [self.state[p].get("momentum_buffer") for p in params]
        options: dict[str, Any] = {name: group[name] for name in OPTIONS}
        sgd(params, [p.grad for p in params], buffers, foreach=None, fused=fused, **options)  # type: ignore[misc]
        if group["momentum"] != 0:
            for p, buffer in zip(params, buffers, strict=True):
                self.state[p]["momentum_buffer"] = buffer


def make_lean_optimizer(optimizer: torch.optim.Optimizer, cfg: CfgNode) -> bool:
    """Makes Detectron2's optimizer a :class:`LeanSGD` where that stands for it; returns whether it does.

    Args:
        optimizer: as ``build_optimizer`` returned it, before a scheduler has it; is changed.
        cfg: whose gradient clipping it has.
    """
    clipping = cfg.SOLVER.CLIP_GRADIENTS
    is_plain = type(optimizer) is torch.optim.SGD and not clipping.ENABLED
    clips = clipping.ENABLED and clipping.CLIP_TYPE == "norm" and clipping.NORM_TYPE == 2.0
    is_clipped = type(optimizer).__name__ == "SGDWithGradientClip" and type(optimizer).__mro__[1] is torch.optim.SGD
    if not (is_plain or (is_clipped and clips)) or clipping.CLIP_VALUE <= 0:
        return False
    fused_is_equal()  # now, and not within the first steps
    optimizer.__class__ = LeanSGD
    optimizer.clip_norm = float(clipping.CLIP_VALUE) if is_clipped else 0.0  # type: ignore[attr-defined]
    return True


def clip_norms(gradients: list[Tensor], highest: float) -> None:
    """Scales every gradient whose norm is above ``highest``, each on its own, as ``clip_grad_norm_`` does."""
    norms = torch.stack(torch._foreach_norm(gradients, 2.0))
    factors = torch.clamp(highest / (norms + 1e-6), max=1.0)
    torch._foreach_mul_(gradients, list(factors.unbind()))


@lru_cache(maxsize=1)
def fused_is_equal() -> bool:
    """Returns whether the fused kernel rounds as the plain loop does on this machine, tried on some numbers."""
    generator = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(4096 + VECTOR, generator=generator) for _ in range(4))
    ends = []
    for fused in (False, True):
        p, buffer = start.clone(), torch.zeros_like(start)
        for number, gradient in enumerate(gradients, start=1):
            sgd(
                [p],
                [gradient.clone()],
                [buffer],
                foreach=False,
                fused=fused,
                weight_decay=1e-4,
                momentum=0.9,
                lr=0.013 / number,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
        ends.append((p, buffer))
    (plain, plain_buffer), (fused_end, fused_buffer) = ends
    return bool(plain.equal(fused_end) and plain_buffer.equal(fused_buffer))
