"""The shell blocks of the README and of the documents run as printed, in one new environment."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.docs.shell_blocks import BROKER_PORT, Block, Terminal, blocks_of, is_open

ROOT = Path(__file__).resolve().parents[2]
ORDER = (
    "README.md",
    "docs/tutorial/first-line.md",
    "docs/how-to/own-parts.md",
    "docs/how-to/camera.md",
    "docs/how-to/new-product.md",
    "docs/how-to/guarded-site.md",
    "docs/how-to/two-workers.md",
    "docs/how-to/postgresql.md",
    "docs/how-to/backup.md",
    "docs/how-to/upgrade.md",
    "docs/how-to/remove-station.md",
    "docs/how-to/plc.md",
    "docs/how-to/thin-link.md",
    "docs/explanation/security.md",
)
"""A page may use what the pages before it made."""

OPERATION = {"docs/how-to/operations.md", "docs/how-to/alarms.md"}
MOST_NEVER = 5
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCKS = [block for page in DOCUMENTS for block in blocks_of(page)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_shell_block_says_whether_it_is_run(block: Block) -> None:
    assert block.is_marked, f"{block}: mark the block with run, run background, needs:NAME, or never: REASON"


def test_few_blocks_are_never_run() -> None:
    never = [str(block) for block in BLOCKS if block.never and name_of(block.page) not in OPERATION]
    assert len(never) <= MOST_NEVER, never


def test_every_page_with_commands_is_run() -> None:
    assert {name_of(block.page) for block in BLOCKS if not block.never} == set(ORDER)


def checkout(folder: Path) -> Path:
    """A copy of the files that git knows, without the folder of git: what a reader has after unpacking."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(3600)
def test_the_commands_of_the_documents_run_as_printed() -> None:
    if shutil.which("mosquitto") is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    if is_open(BROKER_PORT):
        pytest.skip(f"port {BROKER_PORT} is in use, and the documents start a broker there")
    with tempfile.TemporaryDirectory(prefix="patchline-docs-") as place:
        folder = checkout(Path(place) / "checkout")
        for name in ORDER:
            logs = Path(place) / "logs" / name
            logs.mkdir(parents=True)
            run_page(blocks_of(ROOT / name), Terminal(folder, logs, environment_of(folder)))


def run_page(blocks: list[Block], terminal: Terminal) -> None:
    """Run the blocks of a page one after another; its background blocks end with it."""
    failed: list[str] = []
    try:
        for block in blocks:
            if block.never or block.missing:
                continue
            if block.background:
                terminal.start(block)
            else:
                terminal.run(block)
    finally:
        failed += terminal.close()
    assert failed == []


def environment_of(folder: Path) -> dict[str, str]:
    """This environment without settings of patchline and Python, and with the programs of the new one first."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PATCHLINE_", "PYTHON", "VIRTUAL_ENV", "COV_", "PYTEST"))
    }
    return {**kept, "PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"}
