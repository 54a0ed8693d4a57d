"""Numbers of many parts, told as a mean and three percentiles."""

import math
from collections.abc import Iterable

import msgspec
import numpy as np


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Mean, median and tail of a quantity over the parts of a run; in the quantity's own unit."""

    mean: float
    p50: float
    p95: float
    p99: float


def distribution_of(values: Iterable[float]) -> Distribution | None:
    """Summarise some values; None where there is none. Percentiles interpolate linearly between ranks."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return None
    p50, p95, p99 = np.percentile(known, [50, 95, 99])
    return Distribution(mean=float(np.mean(known)), p50=float(p50), p95=float(p95), p99=float(p99))
