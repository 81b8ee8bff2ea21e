"""Neurodata Without Borders: listing, reading and writing files; needs the extra ``nwb``."""
