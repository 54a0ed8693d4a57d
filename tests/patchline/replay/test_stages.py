import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.replay.stages import distribution_of


def test_nothing_has_no_distribution() -> None:
    assert distribution_of([]) is None
    assert distribution_of([math.nan]) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_percentiles_are_in_order_and_within_the_values(values: Any) -> None:
    found = distribution_of(values)
    assert found is not None
    slack = 1e-9 * max(1.0, *values)
    assert min(values) - slack <= found.p50 <= found.p95 + slack
    assert found.p95 <= found.p99 + slack
    assert found.p99 <= max(values) + slack
    assert found.mean == pytest.approx(np.mean(values))
