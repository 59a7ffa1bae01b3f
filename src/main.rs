//! The `chatlake` program.

fn main() {}
