from __future__ import annotations

import os

import pytest

from data import source


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the real data, their tests are left out, except where CI says it has everything."""
    if os.environ.get("CI") == "true":
        return
    try:
        source.root_of(source.load("airline_loyalty"))
    except source.SourceError:
        absent = [item for item in items if "airline" in item.name]
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]
