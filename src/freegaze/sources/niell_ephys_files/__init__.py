"""Raw ephys sessions of the Niell laboratory: their files, streams and clocks."""
