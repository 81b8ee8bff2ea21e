"""The run folder: configuration, checkpoints, provenance."""
