//! ekphrasis-study
