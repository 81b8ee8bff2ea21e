"""The recording room: what was measured, and how it becomes windows for an encoder."""
