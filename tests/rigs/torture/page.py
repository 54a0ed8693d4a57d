"""`python -m tests.rigs.torture.page`: put the figures of torture.json (docs/reference/results) into faults.md."""

from pathlib import Path

from tests.rigs.torture.table import markdown, read

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "docs" / "reference" / "results" / "torture.json"
PAGE = ROOT / "docs" / "explanation" / "faults.md"
_START, _END = "<!-- figures -->\n", "<!-- end of figures -->"


def filled(page: str, table: str) -> str:
    """The page with this table between its marks."""
    head, rest = page.split(_START)
    return head + _START + table + _END + rest.split(_END)[1]


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), markdown(read(RESULTS))), encoding="utf-8")
