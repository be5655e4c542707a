"""Stage 5: textured levels.

levels      every level unwrapped and baked
unwrap      the UV atlas, in a child process that can be killed
charts      figures of an atlas: number of charts, small ones, triangles without area
merge       small charts become part of a neighbour
shared      coarser levels that keep the atlas of the finest
seams       texels between charts that make mip levels agree across seams
texture     base colour from the field, and the other maps of a level
bake        normals and ambient occlusion of the dense surface
economy     flat maps left out, smooth ones smaller
tangents    frames at vertices, as MikkTSpace makes them
rasterize   triangles to pixels
srgb        linear light and sRGB
"""
