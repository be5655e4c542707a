"""Stage 7, gates: what a delivered file must fulfil, looked at in its bytes.

The Khronos validator (module `asset.gates.khronos`) passes a mesh that is inside out, a thousand times too big,
with black maps or turned tangents; the gates here do not. Each returns findings; a "block" refuses
publication, a "warn" stands in the record of the asset.

`levels` knows the order; `solid`, `atlas`, `maps` and `frames` look at one level each in their way,
`hulls` at the collision hulls, `metadata` at what files say about themselves, `likeness` at what the
levels have lost.
"""
