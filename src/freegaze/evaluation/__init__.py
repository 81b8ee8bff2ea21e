"""Scores of a session, comparisons of runs, predictions of other software."""
