"""The search for a line's rate ends close to the rate the line really has."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.bench.throughput import FIRST_RATE, PRECISION, Probe, find_sustained
from patchline.replay.stages import Distribution


def line_with(capacity: Any) -> Any:
    """A line that keeps up to its capacity and not beyond."""
    tried = []

    def probe(offered: Any) -> Any:
        tried.append(offered)
        return Probe(
            offered=offered,
            parts=10,
            parts_per_second=min(offered, capacity),
            latency_seconds=Distribution(mean=0.1, p50=0.1, p95=0.1, p99=0.1),
            payload_bytes=4000.0,
            wire_bytes=4500.0,
            late=0,
            sustained=offered <= capacity,
        )

    return probe, tried


@given(st.floats(1.0, 300.0))
def test_the_rate_found_is_the_capacity_within_the_precision(capacity: Any) -> None:
    probe, _ = line_with(capacity)
    sustained = max(made.offered for made in find_sustained(probe) if made.sustained)
    assert capacity / PRECISION <= sustained * 1.0001
    assert sustained <= capacity


@pytest.mark.parametrize("capacity", [0.0, 0.01])
def test_a_line_that_sustains_nothing_ends_the_search(capacity: Any) -> None:
    probe, tried = line_with(capacity)
    assert not any(made.sustained for made in find_sustained(probe))
    assert len(tried) < 10


def test_a_line_without_a_limit_ends_the_search() -> None:
    probe, tried = line_with(float("inf"))
    assert find_sustained(probe)[-1].sustained
    assert len(tried) < 12


def test_the_search_begins_with_the_first_rate() -> None:
    probe, tried = line_with(10)
    find_sustained(probe)
    assert tried[0] == FIRST_RATE
