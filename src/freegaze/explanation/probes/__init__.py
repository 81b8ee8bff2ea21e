"""Experiments in silico: responses of an encoder to synthetic stimuli."""
