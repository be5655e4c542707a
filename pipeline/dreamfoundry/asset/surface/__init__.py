"""Stage 4: closed surfaces.

isosurface   one watertight component at the isovalue that the pictures ask for
tunnels      tunnels of a voxel's width, filled before extraction
relax        the noise of marching cubes smoothed away
standing     a flat base, and whether the centre of mass lies above the support
decimate     levels of detail within triangle budgets, still closed
collapse     edge collapses that keep every handle
collision    convex hulls
distance     distance between a level and the surface it was decimated from
crossings    triangles that pierce one another
screen_size  size on the screen that a level is good for, and levels that earn their place
silhouettes  covered pixels, and the agreement of two sets of them
triangles    normals, volume, closedness, handles
"""
