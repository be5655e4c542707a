"""Stage 6: pictures of the delivered GLB.

renderer    one view with all maps, in numpy
framing     cameras around an asset
thumbnail   thumbnail and turntable
video       the turntable as MP4
"""
