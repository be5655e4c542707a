"""Stages 4 to 7: from a field snapshot to the validated files of an asset. numpy only, one core.

export        the order of the stages, the only place that knows it
deliverables  the lists of optional files and of checks
gates/        requirements on delivered files, and scores
pictures/     thumbnail, turntable, video: drawn from the delivered GLB
files/        GLB, USDZ, engine bundles, metadata, sidecar
maps/         unwrap, textures, normals, ambient occlusion
surface/      isosurface, levels of detail, collision hulls
findings      findings, and the status of every gate
stage_timer   seconds per stage
"""
