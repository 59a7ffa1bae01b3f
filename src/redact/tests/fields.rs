//! A secret planted in every text of a record is found in none of its bytes.
