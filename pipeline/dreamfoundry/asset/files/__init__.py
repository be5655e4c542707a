"""Stage 6: files. `gltf_writer` writes GLBs, `glb_reader` reads them back; they share no code on purpose,

so that an error of the writer cannot hide in the reader. The other modules derive further formats
(`usdz`, `web_glb`, `engine_bundle`), provenance (`xmp`, `c2pa`) and the sidecar from finished GLBs.
"""
