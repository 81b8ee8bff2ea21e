"""Building blocks of encoders: warps, shifters, cores, readouts, recurrence, links.

A block knows tensors and plain values only: no data, no sessions' names of columns, no files.
"""
