"""A comparison of models as a page of its own."""

from __future__ import annotations

from pathlib import Path

from freegaze.evaluation.compare import Comparison
from freegaze.reports.page import Page, write_page
from freegaze.reports.sections.comparison import build_differences
from freegaze.reports.wording import listing


def write_comparison_page(comparison: Comparison, out: Path | str) -> Path:
    """Write paired differences between models as one HTML file.

    Args:
        comparison: Result of ``freegaze.evaluation.compare.compare``.
        out: HTML file to write; an existing one is replaced.

    Returns:
        The file written.

    Raises:
        DataError: If the file cannot be written.

    Example:
        >>> comparison = freegaze.compare(["runs/behavior_only", "runs/glm"], draws=20)
        >>> write_comparison_page(comparison, "comparison.html").name
        'comparison.html'
    """
    table = comparison.table
    models = list(dict.fromkeys([*table["first"], *table["second"]]))
    page = Page(
        kicker="freegaze comparison",
        title=listing([str(model) for model in models], most=4),
        summary="Which model predicts better, on the same test bins of the same neurons.",
        facts=[],
        sections=[build_differences(comparison.table)],
        footer="Written by freegaze compare.",
    )
    return write_page(page, Path(out))
