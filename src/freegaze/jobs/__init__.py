"""Grids of fits on disk, and the processes that share their work."""
