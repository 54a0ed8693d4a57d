"""The documents and the first lines of docstrings use plain English and the terms of `docs/reference/terms.md`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), ROOT / "examples/README.md", *(ROOT / "docs").rglob("*.md")])
PACKAGES = ("patchline", "edge_node", "analytics_service", "operator_console", "plant_bridges", "broker_config")

MOST_WORDS = 38
PRIVATE_WORDS = re.compile(
    r"\b(crew|surplus|shelf|kinship|broom|passage|workbench|(?<!dead )letters|rungs?|books|told|obeys?|obeyed|mends?|"
    r"anew|conscience|whoever|nobody)\b",
    re.IGNORECASE,
)
"""Words that this project once used in a sense of its own; `docs/reference/terms.md` has the standard terms."""


def sentences(markdown: str) -> Iterator[str]:
    """The sentences of a page without its code; a table's cell and a list's item end a sentence."""
    text = re.sub(r"^\s*```.*?^\s*```\s*$", "\n\n", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^\s*(?:[-*#>]+|\d+\.)\s+", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"\|", "\n\n", text)
    for paragraph in re.split(r"\n\s*\n", text):
        joined = " ".join(paragraph.replace("*", "").split())
        yield from re.split(r"(?<=[.?!])\s+(?=[A-Z0-9(\"'])", joined)


def first_lines(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring.partition("\n")[0]


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def modules_with_private_words() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in modules():
        lines = [line for line in first_lines(path) if PRIVATE_WORDS.search(re.sub(r"`[^`]*`", "", line))]
        if lines:
            found[str(path.relative_to(ROOT))] = lines
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sentence_of_a_document_is_short(document: Path) -> None:
    long = [one for one in sentences(document.read_text(encoding="utf-8")) if len(one.split()) > MOST_WORDS]
    assert long == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_has_no_private_words(document: Path) -> None:
    found = [one for one in sentences(document.read_text(encoding="utf-8")) if PRIVATE_WORDS.search(one)]
    assert found == []


def test_the_first_line_of_a_docstring_has_no_private_words() -> None:
    found = modules_with_private_words()
    assert found == {}


def test_the_check_finds_a_long_sentence_and_a_private_word() -> None:
    page = "# Title\n\nShort one. Word " + "word " * 38 + "end.\n\n- The crew is here.\n\n```sh run\nnobody\n```\n"
    found = list(sentences(page))
    assert [one for one in found if len(one.split()) > MOST_WORDS] == ["Word " + "word " * 38 + "end."]
    assert [one for one in found if PRIVATE_WORDS.search(one)] == ["The crew is here."]
