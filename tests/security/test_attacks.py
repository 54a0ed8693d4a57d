"""Every attack of `python -m tests.rigs.attacks`, and that the harness would notice one that is not refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from patchline.artifacts.engines import default_backbone
from patchline.replay.broker import find_mosquitto
from patchline.vision.backbones import BACKBONES, store
from patchline.wire.errors import MisconfiguredError
from tests.rigs.attacks import branches, doors
from tests.rigs.attacks.__main__ import ATTACKS
from tests.rigs.attacks.attack import Attack, AttackSucceededError
from tests.rigs.attacks.site import SIDE, TOP, SiteUnderAttack

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteUnderAttack]:
    """A provisioned site at work."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    try:
        store.find(BACKBONES[default_backbone()])
    except MisconfiguredError as error:
        pytest.skip(f"no backbone: {error}")
    with SiteUnderAttack(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_it_is_refused(site: SiteUnderAttack, attack: Attack) -> None:
    refused = attack.attempt(site)
    assert refused.by
    assert refused.evidence


def test_every_attack_has_a_name_of_its_own_within_its_kind() -> None:
    told = [(attack.name, attack.how) for attack in ATTACKS]
    assert len(set(told)) == len(told)


def test_the_harness_notices_a_door_that_is_open(site: SiteUnderAttack) -> None:
    tls = site.tls_of(str(SIDE))
    with pytest.raises(AttackSucceededError, match="let us in"):
        doors.knock(site, certificate=tls.certificate, key=tls.key)


def test_the_harness_notices_a_branch_that_is_open(site: SiteUnderAttack) -> None:
    owner = site.watch("analytics")
    with pytest.raises(AttackSucceededError, match="heard on"):
        branches.denied(site, owner, [site.topics.of(SIDE, "map")])
    with pytest.raises(AttackSucceededError, match="heard"):
        branches.read_elsewhere(site, "5", name="operator")


def test_no_key_and_no_password_stands_in_any_log(site: SiteUnderAttack) -> None:
    for program in ("serve", "edge", "broker"):
        assert "PRIVATE KEY" not in site.log_of(program)
    assert (Path(site.edge_folder) / "tls" / "client.key").read_text().splitlines()[1] not in site.log_of("edge")
    assert str(TOP) in site.log_of("edge")
