//! Integration tests, in one binary: bytes in at the door, rows out of the lake.
