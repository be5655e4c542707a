"""What a run is told: frozen dataclasses that refuse nonsense, and the files they are read from.

values            ramps, ranges, and the one way to refuse a value
prior             which diffusion model, with which LoRAs, and how prompts are worded for it
distillation      guidance, cameras, shading, regularisers, learning rates
field             encoding, density, render resolution, snapshot
selection         probes, gates on candidates, restarts
recipe            all of the above: what decides a field, except prompt and seed
loading           recipes from presets, TOML files and dotted overrides
export_profiles   how an asset is delivered: triangle budgets, texture sizes, file formats
metadata_policy   what delivered files say about their origin and owner
presets/          the bundled recipes
"""
