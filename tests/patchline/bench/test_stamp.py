import msgspec
import pytest

from patchline.bench.stamp import stamp


def test_a_stamp_names_machine_versions_commit_and_seed() -> None:
    made = stamp(seed=5, broker="mosquitto")
    assert made.seed == 5
    cores = made.machine["cores"]
    assert isinstance(cores, int)
    assert cores >= 1
    assert made.versions["broker"] == "mosquitto"
    assert {"python", "numpy", "onnxruntime", "patchline"} <= made.versions.keys()


def test_a_stamp_is_json() -> None:
    assert set(msgspec.json.decode(msgspec.json.encode(stamp(seed=0)))) == {"machine", "versions", "commit", "seed"}


def test_outside_a_checkout_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert stamp(seed=0).commit is None
