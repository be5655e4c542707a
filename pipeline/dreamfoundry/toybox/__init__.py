"""The bundled prior: procedural toys, their captions, and a small diffusion model trained on them.

captions             vocabulary and captions; needs nothing else, so a build may import it
shapes               signed-distance primitives
parts                solid parts of each kind
toys                 parts centred and scaled, with surface points and colours
views                sphere tracing and shading
training/            the training of the prior
caption_sensitivity  denoising error under correct and wrong captions

All but `captions` know the true surfaces: only training and evaluation may import them, never a build.
"""
