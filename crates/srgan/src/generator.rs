//! What upscales (section 2.1, figure 4).
