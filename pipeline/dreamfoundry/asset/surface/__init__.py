"""Stage 4: closed surfaces. Isosurface, decimation, collision hulls, distance between surfaces."""
