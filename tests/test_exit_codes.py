from __future__ import annotations

import re
from pathlib import Path

from agropest import exit_codes

PACKAGE = Path(exit_codes.__file__).parent


def test_the_codes_are_those_that_the_docs_name() -> None:
    codes = (exit_codes.OK, exit_codes.TRIALS_FAILED, exit_codes.FAULT, exit_codes.BY_PERSON, exit_codes.BY_MACHINE)
    assert codes == (0, 1, 2, 130, 143)
    assert re.findall(r"\d+", exit_codes.OF_LAUNCH.replace("SIGUSR1", "")) == ["0", "1", "2", "130", "143"]


def test_no_other_module_declares_an_exit_code() -> None:
    texts = {path: path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "exit_codes.py"}
    assert len(texts) > 100
    assert [
        path.name for path, text in texts.items() if re.search(r"EXIT_\w+.*= *\d|sys\.exit\(\d|_exit\(\d", text)
    ] == []
