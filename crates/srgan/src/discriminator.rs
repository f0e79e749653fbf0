//! What tells real from upscaled crops (section 2.1, figure 4).
