//! From high to low resolution: antialiased bicubic resizing, to Pillow's bytes.
