//! What the reading of one record had to leave out or doubt.

use std::cell::RefCell;

/// A record has at most this many notes: a hostile one could make thousands.
const MOST: usize = 32;

/// Notes of one record.
#[derive(Default)]
pub(super) struct Notes {
    list: RefCell<Vec<String>>,
}

impl Notes {
    /// Adds a note, once.
    pub(super) fn add(&self, note: impl FnOnce() -> String) {
        let mut list = self.list.borrow_mut();
        if list.len() >= MOST {
            return;
        }
        let note = note();
        if !list.contains(&note) {
            list.push(note);
        }
    }

    pub(super) fn into_list(self) -> Vec<String> {
        self.list.into_inner()
    }
}
