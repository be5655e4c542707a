"""Stage 7, gates: requirements on delivered files, checked in their bytes.

The Khronos validator (module `khronos`) passes a mesh that is inside out, a thousand times too big,
with black maps or turned tangents; the gates here do not. Each returns findings; a "block" refuses
publication, a "warn" is recorded with the asset.

`levels` runs `solid`, `maps.atlas`, `maps.textures` and `frames` on one level each; the other modules of `maps/` look
at charts, the second set of coordinates and the base colour; `hulls` reads the collision hulls, `metadata` the
extras and XMP, `pictures` the delivered pictures, `likeness` and `shape` the scores;
`browser` opens the levels in a real one. `check` is the form of an entry in `asset.deliverables`.
"""
