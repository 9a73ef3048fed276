"""The page of a sweep while a real launch runs."""

from __future__ import annotations

from tests.scenarios.running.conftest import Running


def test_the_page_is_there_and_loads_itself_again(running: Running) -> None:
    page = running.results / "endless" / "index.html"
    running.wait_until(lambda: page.is_file() and "focal" in page.read_text(), "page")
    assert '<meta http-equiv="refresh"' in page.read_text()
    assert " · running" in page.read_text()
