"""Draw sentences at random from what a person reads, for somebody else to judge.

    python benchmarks/sentences.py --seed 1
    python benchmarks/sentences.py --seed 1 --of comment --under src/freegaze/nn
    python benchmarks/sentences.py --all --under docs

Sentences come from the pages (``README.md``, ``CHANGELOG.md``, ``CONTRIBUTING.md``, ``docs``), from
docstrings, from texts in the code (help, messages, captions) and from the templates of the report.
Comments are drawn only with ``--of comment``. The same seed and the same files draw the same
sentences. Each is printed with its file, its line and its kind.
"""

from __future__ import annotations

import argparse
import ast
import io
import random
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
KINDS = ("page", "docstring", "text", "template", "comment")
DEFAULT_KINDS = KINDS[:-1]
N_WORDS = 4
"""Fewest words of a sentence: shorter ones are labels and names."""

END = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'(`*\[]*[A-Z0-9`])|\n\s*\n")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|et al|vs|Fig|Eq|cf)\.$")


@dataclass(frozen=True)
class Sentence:
    """One sentence and where it stands.

    Args:
        file: Path relative to the repository.
        line: Line on which its paragraph begins, from 1.
        kind: One of ``KINDS``.
        text: The sentence in one line.
    """

    file: str
    line: int
    kind: str
    text: str


def split(text: str) -> list[str]:
    """Return the sentences of a text, each in one line, without those of under ``N_WORDS`` words.

    An abbreviation, a decimal point and a dot inside a name do not end a sentence.
    """
    parts: list[str] = []
    for part in END.split(text):
        if parts and ABBREVIATION.search(parts[-1]):
            parts[-1] += f" {part}"
        else:
            parts.append(part)
    lines = [" ".join(part.split()) for part in parts]
    return [line for line in lines if len(re.findall(r"[A-Za-z]{2,}", line)) >= N_WORDS]


def page_sentences(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and text of the sentences of a Markdown page, without its code blocks."""
    text = re.sub(r"^ *```.*?^ *```|<!--.*?-->", _empty_lines, path.read_text(), flags=re.S | re.M)
    paragraph, begin, is_below_heading = "", 1, False
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        is_row, is_new = line.startswith("|"), re.match(r"\s*([-*#]|\d+\.) ", line)
        if not line.strip() or is_row or is_new:
            yield from ((begin, "page", sentence) for sentence in split(paragraph))
            paragraph = ""
        if is_row:
            for cell in re.split(r"(?<!\\)\|", line):
                yield from ((number, "page", sentence) for sentence in split(cell))
            continue
        if not paragraph.strip() or is_below_heading:
            yield from ((begin, "page", sentence) for sentence in split(paragraph))
            paragraph, begin = "", number
        is_below_heading = line.startswith("#")
        paragraph += re.sub(r"^\s*([-*]|#+|\d+\.) ", "", line) + "\n"


def _empty_lines(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def docstring_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a docstring without its examples and commands."""
    for part in re.split(r"\n\s*\n|\n(?= +\w+(?: \([^)]*\))?: )", text):
        if ">>>" not in part and not part.strip().startswith(("python ", "freegaze ")):
            yield from split(re.sub(r"^\s*[A-Z][a-z]+:\n", "", part))


def string_text(node: ast.AST) -> str | None:
    """Return the text of a string; an f-string keeps its expressions in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(string_text(part) or "" for part in node.values)
    return f"{{{ast.unparse(node.value)}}}" if isinstance(node, ast.FormattedValue) else None


def code_sentences(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and text of the sentences in docstrings, strings and comments of a file.

    Strings in square brackets are shapes and keys, not sentences.
    """
    source = path.read_text()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Expr) and (text := string_text(node.value)) is not None:
            yield from ((node.lineno, "docstring", found) for found in docstring_sentences(text))
        elif isinstance(node, ast.expr) and (text := string_text(node)) is not None:
            prose = re.sub(r"<[^>]+>", " ", text)
            yield from ((node.lineno, "text", sentence) for sentence in split(prose))
        else:
            children = ast.iter_child_nodes(node)
            key = node.slice if isinstance(node, ast.Subscript) else None
            waiting.extend(child for child in children if child is not key)
    yield from comment_sentences(source)


def comment_sentences(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield the sentences of comments; comments in consecutive lines are one text."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = [(t.start[0], t.string.lstrip("# ")) for t in tokens if t.type == tokenize.COMMENT]
    for _, block in groupby(enumerate(found), key=lambda pair: pair[1][0] - pair[0]):
        lines = [line for _, line in block]
        prose = "\n".join(text for _, text in lines)
        yield from ((lines[0][0], "comment", sentence) for sentence in split(prose))


def template_sentences(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the sentences of a report template, or of the strings of a script of the report.

    Tags are left out; expressions appear as ``{...}``.
    """
    text = re.sub(r"\$?{{?[^{}\n]*}}?", "{...}", path.read_text())
    for number, line in enumerate(text.splitlines(), start=1):
        strings = re.findall(r"\"([^\"]+)\"|`([^`]+)`", line) if path.suffix == ".js" else [(line,)]
        prose = re.sub(r"{%.*?%}|{#.*?#}|<[^>]+>", " ", "\n\n".join(map("".join, strings)))
        yield from ((number, "template", sentence) for sentence in split(prose))


def all_sentences(root: Path = ROOT) -> list[Sentence]:
    """Return every sentence of the repository that a person reads, in a fixed order."""
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    code = [*(root / "src").rglob("*.py")]
    templates = [*(root / "src").rglob("*.j2"), *(root / "src").rglob("*.js")]
    readers = {".md": page_sentences, ".py": code_sentences}
    found = [
        Sentence(str(path.relative_to(root)), line, kind, text)
        for path in (*pages, *code, *templates)
        for line, kind, text in readers.get(path.suffix, template_sentences)(path)
    ]
    return sorted(found, key=lambda s: (s.file, s.line, KINDS.index(s.kind), s.text))


def draw(sentences: list[Sentence], n: int, seed: int) -> list[Sentence]:
    """Draw sentences without replacement; the same seed draws the same."""
    return random.Random(seed).sample(sentences, min(n, len(sentences)))


def main() -> None:
    """Print the drawn sentences."""
    parser = argparse.ArgumentParser(description="sentences that a person reads, at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=20, help="number of sentences")
    parser.add_argument("--of", nargs="+", choices=KINDS, default=DEFAULT_KINDS, metavar="KIND")
    parser.add_argument(
        "--under", default="", help="draw only from files whose path begins with this text"
    )
    parser.add_argument("--all", action="store_true", help="print all instead of drawing")
    options = parser.parse_args()
    chosen = [
        sentence
        for sentence in all_sentences()
        if sentence.kind in options.of and sentence.file.startswith(options.under)
    ]
    for s in chosen if options.all else draw(chosen, options.n, options.seed):
        print(f"{s.file}:{s.line} ({s.kind})\n    {s.text}")


if __name__ == "__main__":
    main()
