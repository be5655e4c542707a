"""Stages 4 to 7: from a field snapshot to the validated files of an asset. numpy only, one core.

export        the order of the stages, the only place that knows it
deliverables  the lists of optional files and of checks
surface/      stage 4: isosurface, levels of detail, collision hulls
maps/         stage 5: unwrap, textures, normals, ambient occlusion
files/        stage 6: GLB, USDZ, engine bundles, metadata, sidecar
pictures/     stage 6: thumbnail, turntable, video, drawn from the delivered GLB
gates/        stage 7: requirements on delivered files, and scores
findings      findings, and the status of every gate
names         names of files, nodes, materials and textures: unique in a library
stage_timer   seconds per stage
"""
