"""Neurodata Without Borders: what a file holds, reading it, writing it. Needs the extra ``nwb``."""
