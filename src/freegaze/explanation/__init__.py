"""What a fitted encoder says about each neuron: computed once, kept neuron by neuron."""
