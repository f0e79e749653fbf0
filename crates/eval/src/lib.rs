//! The command line of the measures: what sides are, one pass of the network over each picture, and the recipe
//! that goes beside every number.

pub mod compare;
pub mod fid;
pub mod paired;
pub mod pixels;
pub mod recipe;
pub mod scores;
pub mod session;
pub mod sides;
pub mod table;
pub mod voxels;
