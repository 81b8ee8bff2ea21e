"""Figures, tables and HTML pages; draws what other rooms computed."""

from freegaze.reports.comparison_page import write_comparison_page as write_comparison_page
from freegaze.reports.quality_page import write_quality_page as write_quality_page
from freegaze.reports.readme_figure import write_readme_figure as write_readme_figure
from freegaze.reports.report import write_report as write_report

__all__ = [
    "write_comparison_page",
    "write_quality_page",
    "write_readme_figure",
    "write_report",
]
