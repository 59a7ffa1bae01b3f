//! Rows as messages of `proto/chatlake/v1/event.proto`, each after its length as a varint.

use crate::event::Event;
use prost::DecodeError;
use prost::Message as _;
use prost::encoding::encode_varint;
use std::borrow::Borrow;

/// Encodes rows as one file.
pub(super) fn encode(rows: &[impl Borrow<Event>]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows.iter().map(Borrow::borrow) {
        let length = row.encoded_len();
        out.reserve(length + 10);
        encode_varint(u64::try_from(length).unwrap_or(u64::MAX), &mut out);
        // A Vec grows, so encoding cannot fail.
        row.encode_raw(&mut out);
    }
    out
}

/// Reads the rows of a file, from where `rest` begins; `None` at its end.
pub fn next(rest: &mut &[u8]) -> Option<Result<Event, DecodeError>> {
    if rest.is_empty() {
        return None;
    }
    let row = Event::decode_length_delimited(&mut *rest);
    if row.is_err() {
        *rest = &[];
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::samples::bare;
    use crate::lake::samples::full;

    #[test]
    fn rows_read_back_equal() {
        let rows = [full(), bare("e", "c", 1), full()];
        let bytes = encode(&rows);
        let mut rest = bytes.as_slice();
        let read: Vec<_> = std::iter::from_fn(|| next(&mut rest)).map(Result::unwrap).collect();
        assert_eq!(read, rows);
    }

    #[test]
    fn a_cut_file_ends_in_an_error() {
        let bytes = encode(&[full()]);
        let mut rest = &bytes[..bytes.len() - 1];
        assert!(next(&mut rest).is_some_and(|row| row.is_err()));
        assert!(next(&mut rest).is_none());
    }
}
