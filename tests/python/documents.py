"""The fenced blocks of the documents, and which of them are run by a test.

A test takes each block that it runs by `block` or `blocks`, as a constant of its module.
`test_documents.py` fails if no module has taken a block that isn't exempt.
"""

import re
from typing import NamedTuple

from support import ROOT

# Blocks in these languages are commands or settings: a test runs each as printed.
RUN = ("console", "nginx", "sh", "sql", "toml", "yaml")

# The other languages: output and data, and code that tests/it compiles or compares.
SHOWN = ("json", "python", "rust", "text")

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"

# The blocks that the imported modules have taken.
taken = set()


class Block(NamedTuple):
    document: str
    language: str
    text: str

    def __str__(self):
        return f"{self.document}: {self.text.splitlines()[0]}"


def all_blocks():
    """The blocks of every document for people: those of the root and of docs/."""
    fence = re.compile(r"^[ \t]*```(\w*)\n(.*?)^[ \t]*```$", re.DOTALL | re.MULTILINE)
    paths = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
    return [
        Block(str(path.relative_to(ROOT)), language, text)
        for path in paths
        for language, text in fence.findall(path.read_text())
    ]


def block(document, beginning):
    """The only block of a document with this beginning."""
    found = [
        block
        for block in all_blocks()
        if block.document == document and block.text.startswith(beginning)
    ]
    assert len(found) == 1, f"{document} has {len(found)} blocks that begin with {beginning!r}"
    taken.update(found)
    return found[0].text


def blocks(document, language):
    """All blocks of a document in a language, in their order."""
    found = [
        block
        for block in all_blocks()
        if (block.document, block.language) == (document, language)
    ]
    assert found, f"{document} has no block of {language}"
    taken.update(found)
    return [block.text for block in found]


def session(text):
    """The commands of a console block, each with the output that the block shows."""
    _, *commands = re.split(r"^\$ ", text, flags=re.MULTILINE)
    return [split_output(command) for command in commands]


def split_output(text):
    """The command at the beginning of a text, with the lines that continue it, and the rest."""
    lines = text.splitlines(keepends=True)
    last = next(i for i, line in enumerate(lines) if not line.endswith("\\\n"))
    return "".join(lines[: last + 1]), "".join(lines[last + 1 :])


def commands(text):
    """The commands of a block whose lines are simple commands, without their comments."""
    joined = text.replace("\\\n", " ").splitlines()
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined]
    return [line for line in lines if line]


def plain(text):
    """A text without the values that differ each time."""
    text = re.sub(UUID, "UUID", text)
    text = re.sub(TIME, "TIME", text)
    text = re.sub(r'("resumeToken": ")[^"]*', r"\1TOKEN", text)
    text = re.sub(r'("polls": ")\d+', r"\1N", text)
    return text.strip()
