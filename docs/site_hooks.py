"""Prepares the pages for MkDocs."""

import re
from typing import Any

_FENCE = re.compile(r"^(\s*```\w+) .*$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Remove the marks after a code block's language, such as `run`; MkDocs does not accept text there."""
    return _FENCE.sub(r"\1", markdown)
