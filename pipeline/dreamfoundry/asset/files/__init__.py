"""Stage 6: files. Writer and reader of GLBs share no code on purpose: an error of one cannot hide in the other.

gltf_writer    GLBs, the only module with pygltflib
glb_reader     GLBs read back, each parsed once
glb            the container: header and chunks
masters        the levels, hulls and dense surface that all else is made from
placement      scene units to metres, standing on the origin
metadata       provenance in every file
xmp            the same in a standard's words
draft          an asset in the making
deliverable    the form of an optional file
engine_bundle  levels and hulls for Unreal and Godot
web_glb        compressed, for browsers
usdz           levels as variants, for CG studios
c2pa           a signed credential
png            pictures without metadata
sidecar        asset.json and validation.json
"""
