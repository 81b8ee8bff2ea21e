"""Scores of a session, comparisons of runs, scores of predictions from other software."""
