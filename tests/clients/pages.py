"""The code on the pages of the docs, which tests run."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, heading: str, language: str) -> list[str]:
    """The blocks of code of a language below a heading of a page's text, in their order."""
    sections = re.split(r"^#+ ", page, flags=re.MULTILINE)
    (text,) = (each for each in sections if each.startswith(heading + "\n"))
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
