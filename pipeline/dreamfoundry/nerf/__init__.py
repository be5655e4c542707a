"""Cameras, radiance fields and volume rendering for K assets at once; no diffusion in here."""
