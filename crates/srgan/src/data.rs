//! What a batch is: crops of high-resolution pictures and what they become at low resolution, pairs from two folders, or procedural scenes.
