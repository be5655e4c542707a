"""Gates on charts and maps.

textures  every picture decodes, has its size, and can be what its slot says
atlas     use of the texture, and overlap
charts    number of charts, triangles without area, seams that show
lightmap  the second set of texture coordinates
albedo    light in the base colour
"""
