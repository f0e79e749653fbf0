//! Failures are those of the whole workspace.

pub(crate) use gan_core::failure::{Kind, failure};
