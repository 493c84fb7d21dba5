"""What the tests of base models share: a mirror on loopback and an empty cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.base_models import Cloud, mirrored


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with mirrored(tmp_path, monkeypatch) as cloud:
        yield cloud
