"""Preparation of recordings for encoders: features, splits, scaling, windows, batches."""
