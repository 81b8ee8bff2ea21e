"""Figures, tables and HTML pages; draws what other rooms computed."""

from freegaze.report.quality_page import write_quality_page as write_quality_page
from freegaze.report.report import write_report as write_report

__all__ = ["write_quality_page", "write_report"]
