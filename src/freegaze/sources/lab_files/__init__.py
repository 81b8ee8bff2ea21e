"""Files of laboratories: sorted spikes, movies, tracked points, tables of signals."""
