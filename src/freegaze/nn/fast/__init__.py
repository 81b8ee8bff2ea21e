"""Hand-written gradients and recorded steps, each with a plain twin."""
