//! The `ekphrasis` command.
fn main() {}
