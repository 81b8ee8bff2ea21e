"""Scores of a session, comparisons of runs, predictions made elsewhere."""
