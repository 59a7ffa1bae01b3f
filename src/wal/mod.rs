//! The write-ahead log: what is acknowledged is in it, and on stable storage.

pub mod disk;
