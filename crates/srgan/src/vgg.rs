//! The features of VGG19 that the content loss compares (section 2.2.1).
