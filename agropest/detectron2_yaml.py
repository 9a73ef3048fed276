"""A Detectron2 config file read safely: plain YAML, and the one expression that Detectron2's model zoo holds.

The zoo's RetinaNet configs give their anchor sizes as Python that Detectron2's own reader evaluates. Nothing is
evaluated here: exactly that expression is recognised, and its numbers are computed from its meaning.
"""

from __future__ import annotations

from typing import Any

import yaml

from agropest import plain_yaml

EVAL = f"{plain_yaml.STANDARD}python/object/apply:eval"
# Base-RetinaNet.yaml, without its spaces: three sizes for each of five levels, a third of an octave apart.
EXPRESSION = "[[x,x*2**(1.0/3),x*2**(2.0/3)]forxin[32,64,128,256,512]]"
FIRST_SIZES_PX, PER_OCTAVE = (32, 64, 128, 256, 512), 3


def load(text: str) -> Any:
    """Returns what a Detectron2 config file means.

    Raises:
        yaml.YAMLError: it is not plain YAML: another tag, or another expression than the zoo's.
        ValueError, RecursionError: as :func:`agropest.plain_yaml.load`.
    """
    return yaml.load(text, Loader=_ConfigLoader)


def retinanet_sizes() -> list[list[float]]:
    """Returns the anchor sizes of the zoo's RetinaNet, in pixels, by level."""
    return [[side * 2 ** (step / PER_OCTAVE) for step in range(PER_OCTAVE)] for side in FIRST_SIZES_PX]


class _ConfigLoader(plain_yaml.PlainLoader):
    """Reads the zoo's expression as the list that it stands for."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        node: yaml.Node | None = super().compose_node(parent, index)
        return _sizes_node(node) if node is not None and _is_zoo_expression(node) else node


def _is_zoo_expression(node: yaml.Node) -> bool:
    if node.tag != EVAL or not isinstance(node, yaml.SequenceNode) or len(node.value) != 1:
        return False
    (only,) = node.value
    return isinstance(only, yaml.ScalarNode) and "".join(only.value.split()) == EXPRESSION


def _sizes_node(at: yaml.Node) -> yaml.Node:
    def number(size: float) -> yaml.Node:
        return yaml.ScalarNode(f"{plain_yaml.STANDARD}float", repr(size), at.start_mark, at.end_mark)

    def sequence(nodes: list[yaml.Node]) -> yaml.Node:
        return yaml.SequenceNode(f"{plain_yaml.STANDARD}seq", nodes, at.start_mark, at.end_mark)

    return sequence([sequence([number(size) for size in level]) for level in retinanet_sizes()])
