"""Studies: many encoders on many recordings, in one folder."""
