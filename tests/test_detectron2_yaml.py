from __future__ import annotations

import pytest
import yaml

from agropest import detectron2_yaml, plain_yaml

ZOO = '["[[x, x * 2**(1.0/3), x * 2**(2.0/3) ] for x in [32, 64, 128, 256, 512 ]]"]'


def test_the_zoos_expression_is_the_list_it_stands_for() -> None:
    content = detectron2_yaml.load(f"MODEL: {{SIZES: !!python/object/apply:eval {ZOO}, NAME: a}}\n")
    sizes = content["MODEL"]["SIZES"]
    assert sizes == [[x, x * 2 ** (1.0 / 3), x * 2 ** (2.0 / 3)] for x in [32, 64, 128, 256, 512]]  # bit for bit
    assert content["MODEL"]["NAME"] == "a"


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:eval ['1 + 1']",
        "!!python/object/apply:eval [\"__import__('os').system('true')\"]",
        f"!!python/object/apply:exec {ZOO}",
        f"!!python/object/apply:eval {ZOO[:-1]}, 1]",
        f"!!python/object/apply:eval {ZOO[1:-1]}",
        f"!!python/object/apply:eval {{a: {ZOO}}}",
        "!!python/name:os.system",
        "!!python/tuple [1, 2]",
    ],
)
def test_every_other_python_tag_is_refused(value: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=r"a: a tag, tag:yaml.org,2002:python/"):
        detectron2_yaml.load(f"a: {value}\n")


def test_a_sweep_file_has_no_expression_at_all() -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="a tag"):
        plain_yaml.load(f"a: !!python/object/apply:eval {ZOO}\n")
