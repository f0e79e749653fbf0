//! Procedural scenes of high resolution: sharp edges, strokes and textures.
