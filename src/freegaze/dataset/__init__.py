"""From a recording to windows: features, splits, scaling, batches."""
