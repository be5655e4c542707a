"""Stage 6: pictures of the delivered GLB. Renderer, framing, thumbnail, turntable, video."""
