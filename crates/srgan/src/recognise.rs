//! Which generator the tensors of a file make up.
