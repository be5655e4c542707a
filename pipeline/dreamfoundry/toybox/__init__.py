"""The bundled prior: procedural toys, their captions, and a small diffusion model trained on them.

`captions` knows the vocabulary and needs nothing else. `shapes`, `toys` and `views` know the true
surfaces; only training and evaluation may import them, never a build.
"""
