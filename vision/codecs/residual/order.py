"""What of a picture is coded in which order, so that the many coefficients that are almost always zero cost no time.

Coefficients of a class where most are zero go sixteen together, and one flag says whether any of them departs; only
then are they coded. So nothing is cut off, however unusual, and a fifth of the symbols is left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.codecs.residual.classes import Classes

RARE_BELOW = 15
"""Classes below are grouped: at most some three in a hundred of their values are not zero."""
GROUP = 16

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Order:
    """The order at one level of the step.

    Attributes:
        classes: `(size + 1,)` class of each coefficient at this level; the last is for places that fill up a group.
        bands: `(size + 1,)` band of each.
        common: Coefficients that are always coded.
        groups: `(G, GROUP)` the others; what fills up the last group has the index `size`.
        group_of: `(size + 1,)` the group of each coefficient, G where it has none.
    """

    classes: Classes
    bands: NDArray[np.uint8]
    common: Indices
    groups: Indices
    group_of: Indices

    @property
    def leaders(self) -> Indices:
        """`(G,)`, the coefficient of each group that is usually largest, whose class and band are the flag's."""
        leaders: Indices = self.groups[:, 0]
        return leaders

    def flags(self, places: Indices) -> NDArray[np.bool_]:
        """`(G,)`, which groups depart, from the coefficients that are not zero."""
        flags = np.zeros(len(self.groups) + 1, dtype=np.bool_)
        flags[self.group_of[places]] = True
        return flags[:-1]

    def sent(self, flags: NDArray[np.bool_]) -> Indices:
        """The coefficients that are coded, in the order in which they are."""
        return np.concatenate([self.common, self.groups[flags].ravel()])


def order_at(level: int, classes: Classes, bands: NDArray[np.uint8]) -> Order:
    """The order at a level of the step, from the classes `(size,)` at level 0 and the bands `(size,)`."""
    lowered = np.maximum(classes.astype(np.int16) - level, 0).astype(np.uint8)
    rare = lowered < RARE_BELOW
    # by what the group's members were at level 0, since at higher levels many share the lowest class
    within = np.lexsort((-classes.astype(np.int16), bands))
    grouped = within[rare[within]]
    filled = np.full(-(-len(grouped) // GROUP) * GROUP, len(classes), dtype=np.intp)
    filled[: len(grouped)] = grouped
    groups = filled.reshape(-1, GROUP)
    group_of = np.full(len(classes) + 1, len(groups), dtype=np.intp)
    group_of[groups] = np.arange(len(groups))[:, None]
    return Order(
        classes=np.append(lowered, np.uint8(0)),
        bands=np.append(bands, np.uint8(0)),
        common=within[~rare[within]],
        groups=groups,
        group_of=group_of,
    )
