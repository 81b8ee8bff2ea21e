"""Where recordings come from: one file a format or data set, found by name."""
