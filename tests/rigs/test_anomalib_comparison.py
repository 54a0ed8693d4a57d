"""The duel's manners with the other side, which is a program of its own."""

import sys
from pathlib import Path

import numpy as np
import pytest

from patchline.wire.errors import UnavailableError
from tests.rigs.anomalib_comparison import duel

POLITE = """
import json, sys
import numpy as np
folder = sys.argv[1]
print(json.dumps({"anomalib": "0"}), flush=True)
asked = []
for line in sys.stdin:
    asked.append(int(line))
    print(json.dumps({"total": 0.5, "backbone": 0.25}), flush=True)
np.save(folder + "/scores.npy", np.array(asked, dtype=np.float32))
np.save(folder + "/maps.npy", np.zeros((len(asked), 2, 2), dtype=np.float32))
"""


def opponent(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> duel.Opponent:
    path = folder / "script.py"
    path.write_text(script)
    monkeypatch.setattr(duel, "OPPONENT", path)
    return duel.Opponent(Path(sys.executable), folder, folder / "weights", 1)


def test_every_picture_is_asked_for_and_what_was_found_comes_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opponent(tmp_path, POLITE, monkeypatch) as other:
        assert other.versions == {"anomalib": "0"}
        assert [other.ask(index) for index in (4, 2)] == 2 * [{"total": 0.5, "backbone": 0.25}]
        scores, maps = other.end()
    np.testing.assert_array_equal(scores, [4, 2])
    assert maps.shape == (2, 2, 2)


def test_an_opponent_that_gives_up_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnavailableError, match="no module of that name"):
        opponent(tmp_path, "raise SystemExit('no module of that name')", monkeypatch)
