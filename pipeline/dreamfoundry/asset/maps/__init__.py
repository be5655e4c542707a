"""Stage 5: textured levels. Unwrap, tangents, maps baked from the dense surface, base colour."""
