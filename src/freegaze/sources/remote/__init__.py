"""Files that are read over the network, as far as they are needed."""
