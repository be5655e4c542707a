"""Settings of a run: frozen dataclasses that refuse impossible values, and the files that they are read from.

values            ramps, ranges, and the one way to refuse a value
prior             diffusion model, LoRAs, and the wording of prompts for it
prior_identity    the name of the weights that guided an asset
distillation      guidance, cameras, shading, regularisers, learning rates
field             encoding, density, render resolution, snapshot
selection         probes, gates on candidates, restarts
recipe            all of the above: everything that decides a field, except prompt and seed
loading           recipes from presets, TOML files and dotted overrides
export_profiles   delivery of an asset: triangle budgets, texture sizes, file formats
metadata_policy   origin and owner of an asset in its delivered files
presets/          the bundled recipes
"""
