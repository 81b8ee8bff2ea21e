"""Streams, each on a clock of its own, put onto equal bins; shared by the sources of raw files."""
