//! What one batch does, in each of the two stages.
