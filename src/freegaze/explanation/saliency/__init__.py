"""Saliency of behavior."""
