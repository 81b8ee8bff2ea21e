"""Figures of a run: each function takes arrays and returns a labelled matplotlib figure."""
