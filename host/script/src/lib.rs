//! ekphrasis-script
