"""Stage 6: files. `gltf_writer` writes GLBs, `glb_reader` reads them back; they share no code on purpose,

so that an error of the writer cannot hide in the reader. `masters` are the GLBs that all else is made
from: further formats (`engine_bundle`, `web_glb`, `usdz`), provenance (`metadata`, `xmp`, `c2pa`) and the
sidecar. `draft` is an asset in the making, `deliverable` the form of an optional file.
"""
