"""Works to cite for a run: the software, the method, the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freegaze import __version__
from freegaze.runs.run_folder import RunFolder
from freegaze.sources.source import SOURCES


@dataclass(frozen=True)
class Work:
    """One work to cite.

    Args:
        key: Key of its BibTeX entry.
        authors: Authors, separated by ``and`` as in BibTeX; empty if ``title`` is a whole citation.
        title: Title.
        year: Year of publication; 0 where it is unknown.
        venue: Where it was published, or the version of a software.
    """

    key: str
    authors: str
    title: str
    year: int = 0
    venue: str = ""

    def text(self) -> str:
        """Return the citation as a line of text."""
        year = f" ({self.year})" if self.year else ""
        authors = self.authors.strip("{}").replace(" and ", ", ")
        before = f"{authors}{year}. " if authors else ""
        return f"{before}{self.title}" + (f". {self.venue}." if self.venue else "")

    def bibtex(self) -> str:
        """Return the citation as a BibTeX entry."""
        fields = {"author": self.authors, "title": f"{{{self.title}}}", "note": self.venue}
        fields["year"] = str(self.year or "")
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@misc{{{self.key},", *lines, "}"])


SOFTWARE = Work(
    "freegaze",
    "{The freegaze developers}",
    "freegaze: encoding models of visual cortex in freely moving animals",
    venue=f"Version {__version__}",
)
METHOD = Work(
    "xu2023",
    "Aiwen Xu and Yuchen Hou and Cristopher M. Niell and Michael Beyeler",
    "Multimodal deep learning model unveils behavioral dynamics of V1 activity in freely moving "
    "mice",
    2023,
    "Advances in Neural Information Processing Systems 36",
)


def citations(run: Path | str | None = None) -> list[Work]:
    """Return the works to cite.

    Args:
        run: A run folder. The citation of its data is added, if their source has one.

    Raises:
        CheckpointError: If there is no run in the folder.

    Example:
        >>> [work.key for work in citations("runs/glm")]
        ['freegaze', 'xu2023']
    """
    works = [SOFTWARE, METHOD]
    if run is None:
        return works
    name = RunFolder(Path(run)).config().source.name
    known = SOURCES.get(name).citation if name in SOURCES else ""
    if known:
        works.append(Work(f"data_{name}", "", known))
    return works
