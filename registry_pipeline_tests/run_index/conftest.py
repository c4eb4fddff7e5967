"""All tests of the run index learn line patterns from the second record on, so that their laws cover matched lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from registry_pipeline.registries.run_index import line_pattern


@pytest.fixture(scope="package", autouse=True)
def _learn_early() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_pattern, "_FREQUENT", 2)
        yield
