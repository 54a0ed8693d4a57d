"""A picture's score from the scores of its patches: what detectors offer beside the score of their own paper."""

from typing import Literal, TypeAlias

import numpy as np

from patchline.vision.pixels.arrays import Floats

Score: TypeAlias = Literal["max", "peak", "top", "contrast"]
"""How a picture is scored.

- "max": by its largest distance, the way the detector's paper weights it.
- "peak": its largest patch score as it is.
- "top": the mean of the highest 1 % of its patch scores, which one noisy patch moves little.
- "contrast": its largest patch score less the mean of all, which ignores what the whole picture has, such as its light.
"""

TOP_SHARE = 0.01
"""Share of the patches that "top" takes the mean of, at least one."""


def picture_scores(patch: Floats, score: Literal["peak", "top", "contrast"]) -> Floats:
    """The scores of pictures by one of the ways that need nothing but their patches.

    Args:
        patch: `(B, gh, gw)`, the united distance of each patch.
        score: Which way.

    Returns:
        `(B,)` float32, in the units of the patch scores.
    """
    flat = patch.reshape(len(patch), -1)
    scores: Floats
    if score == "top":
        top = max(1, round(TOP_SHARE * flat.shape[1]))
        scores = np.partition(flat, -top, axis=1)[:, -top:].mean(axis=1)
    else:
        scores = flat.max(axis=1)
        if score == "contrast":
            scores -= flat.mean(axis=1)
    return scores
