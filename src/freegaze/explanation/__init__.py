"""Explanation of a fitted encoder: fields, saliency, tuning and contributions of each neuron."""
