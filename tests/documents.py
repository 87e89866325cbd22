"""What README and documentation hold: blocks of code, and the files that these stand for."""

import ast
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tbd.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_BLOCK = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^ *```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of code.

    Attributes:
        page: The file that it stands in, relative to the repository.
        line: Number of its first line there.
        language: What stands behind the fence.
        text: The code.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_config(self) -> bool:
        """Whether it is Python that only gives values to names."""
        return self.language == "python" and all(
            isinstance(statement, ast.Assign) for statement in ast.parse(self.text).body
        )

    @property
    def path(self) -> str | None:
        """The file that its first line says it is, such as ``# configs/my_pair.py``."""
        named = re.match(r"# (\S+\.py)\n", self.text)
        return named[1] if named else None


def blocks(language: str) -> list[Block]:
    """All blocks of one language, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            if match[2] == language:
                line = text.count("\n", 0, match.start(3)) + 1
                code = textwrap.dedent(match[3])
                found.append(Block(str(page.relative_to(ROOT)), line, language, code))
    return found


def commands(block: Block) -> list[list[str]]:
    """The words of each command, with the variables that the block sets put in."""
    variables: dict[str, str] = {}
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        words = [re.sub(r"\$(\w+)", lambda name: variables[name[1]], word) for word in words]
        while words and re.match(r"\w+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        if words:
            found.append(words)
    return found


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return _BLOCK.sub("", page.read_text())


def files_of(page: str) -> set[str]:
    """Files that the page tells its reader to write."""
    return {block.path for block in blocks("python") if block.page == page and block.path}


@contextmanager
def modules_of(page: str, folder: Path) -> Iterator[None]:
    """Write the modules that a page shows, part by part, and let Python import them meanwhile."""
    modules: dict[str, str] = {}
    for block in blocks("python"):
        if block.page == page and block.path and not block.is_config:
            modules[block.path] = modules.get(block.path, "") + block.text + "\n\n"
    for path, text in modules.items():
        (folder / path).write_text(text)
    names = {Path(path).stem for path in modules}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        for key, registered in list(MODELS.module_dict.items()):
            if registered.__module__ in names:
                del MODELS.module_dict[key]
