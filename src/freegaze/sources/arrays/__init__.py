"""Recordings as one file of plain arrays."""
