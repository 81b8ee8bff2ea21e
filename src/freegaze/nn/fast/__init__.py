"""Hand-written gradients and recorded steps, each with a plain twin to compare with.

| here | plain twin |
|---|---|
| ``convolution``, ``dropout``, ``batch_norm.normalize_parts`` | ``ConvBlock.plain`` |
| ``captured.CapturedSteps`` | the step that it records |

``training.fast=false`` chooses all plain twins for a fit. ``divided_batch`` has none: PyTorch
normalizes batches divided among processes on GPUs only.
"""
