//! Shapes, as voxels and as meshes: their files, from one to the other, what they look like, and how far apart they are.

pub mod arrays;
pub mod binvox;
pub mod chamfer;
pub mod components;
pub mod dataset;
pub mod files;
pub mod fit;
pub mod furniture;
pub mod glb;
pub mod mesh;
pub mod meshes;
#[cfg(test)]
mod mutations;
pub mod obj;
pub mod off;
pub mod ply;
pub mod render;
pub mod stl;
pub mod surface;
mod vector;
pub mod volumetric;
pub mod voxelise;
pub mod voxels;
mod words;

/// What a reader makes of a file's bytes, or what is wrong with them in words.
pub type Parsed<T> = std::result::Result<T, String>;
