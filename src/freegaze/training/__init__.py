"""Losses, the loop, checkpoints, the run folder."""
