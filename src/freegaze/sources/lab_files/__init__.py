"""Files as laboratories keep them: sorted spikes, movies, tracked points, tables of signals."""
