"""Building blocks of encoders: warps, shifters, cores, readouts, recurrence, links.

A block takes tensors and plain values only: no data, no names of columns; only pretrained weights
are read from files.
"""
