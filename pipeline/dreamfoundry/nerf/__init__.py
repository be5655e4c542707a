"""Cameras, radiance fields and volume rendering for K assets at once; no diffusion in here.

cameras        cameras on an orbit, and the rays through their pixels
field          K fields as one set of tensors
dense_grid     encoding for CPUs: few wide levels
hash_grid      encoding for GPUs: many narrow levels, the fine ones hashed
trilinear      features between the vertices of a grid
heads          two linear layers, from features to density and albedo
tiles          points at a time, so that a CPU stays in its cache
sampling       sample positions along rays, and the occupancy grid
render         albedo, opacity, depth and normals along rays
shading        lit, albedo and textureless pictures
regularizers   losses on the volume
snapshot       a finished slot as arrays
kernels/       Triton kernels for CUDA
"""
