"""What the documents name exists, and what exists is named."""

import re
from pathlib import Path

import pytest

from edge_node.capture.sources import SOURCES
from edge_node.gate.gates import GATES
from patchline.cli.verbs import VERBS
from patchline.vision.backbones import BACKBONES
from patchline.vision.codecs import CODECS, FEATURE_CODECS
from patchline.vision.detectors import DETECTORS
from patchline.wire.channels import CHANNELS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*CODECS, *FEATURE_CODECS, *DETECTORS, *BACKBONES, *SOURCES, *GATES, *VERBS])
def test_the_readme_names_everything_a_user_can_choose(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}[`:]", README), f"{name} is missing in README.md"


@pytest.mark.parametrize("name", [*CODECS, *FEATURE_CODECS])
def test_the_page_of_codecs_names_every_codec(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}[`:]", page("reference/codecs.md"))


@pytest.mark.parametrize("name", DETECTORS)
def test_the_page_of_detectors_names_every_detector(name: str) -> None:
    assert f"`{name}`" in page("reference/detectors.md")


@pytest.mark.parametrize("name", VERBS)
def test_the_page_of_the_command_line_names_every_command(name: str) -> None:
    assert f"`patchline {name}`" in page("reference/command-line.md")


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_wire_page_names_every_channel(channel: str) -> None:
    assert f"`{channel}`" in page("reference/wire.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
