"""Stage 4: closed surfaces.

isosurface   one watertight component at the isovalue that the pictures ask for
tunnels      tunnels of a voxel's width, filled before extraction
relax        the noise of marching cubes smoothed away
decimate     levels of detail within triangle budgets, still closed
collision    convex hulls
distance     distance between a level and the surface it was decimated from
silhouettes  covered pixels, and the agreement of two sets of them
triangles    normals, volume, closedness, handles
"""
