"""What an encoder cares about: receptive fields, saliency, contributions."""
