"""The second virtual mouse, VM-2: neurons and instruments that no encoder describes exactly."""
