//! The doors, with a log that is a stand-in.
