"""Alignment of streams with different clocks to equal bins, for the sources of raw files."""
