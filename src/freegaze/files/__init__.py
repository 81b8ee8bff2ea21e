"""Files that may be hostile, and folders written whole: arrays, HDF5, checksums."""
