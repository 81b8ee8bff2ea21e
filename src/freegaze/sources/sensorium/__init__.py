"""The data of the Sensorium competitions."""
