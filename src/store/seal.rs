//! Records are sealed: a hash of their text and of the place that they are for precedes them. Whatever a broken disk or
//! another program of the origin has changed, or put where it does not belong, is not a record.

use crate::error::{Error, ErrorCode, Result};
use crate::hash::sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Length of the hash in hexadecimal digits.
const HASH_LEN: usize = 64;

/// The text to store for `record` at `place`.
///
/// # Errors
/// `quota`, for a record that cannot be written as text.
pub fn seal(place: &str, record: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(record)
        .map_err(|e| Error::new(ErrorCode::Storage, "A record cannot be written.").caused_by(e))?;
    Ok(format!("{}{json}", hash(place, &json)))
}

/// The record that was stored at `place`; `None` if the text is not what was stored there.
pub fn unseal<T: DeserializeOwned>(place: &str, text: &str) -> Option<T> {
    let (seal, json) = text.split_at_checked(HASH_LEN)?;
    (seal == hash(place, json)).then(|| serde_json::from_str(json).ok()).flatten()
}

fn hash(place: &str, json: &str) -> String {
    sha256(format!("{place}\n{json}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::UnitRecord;
    use super::super::memory::record;
    use super::*;

    /// `www/lib/store` reads records without this program: `tests/js/stored.test.mjs` reads the same file.
    #[test]
    fn records_are_written_as_pages_read_them() {
        let (model, key) = (record("o/a", 2), record("o/a", 2).key);
        let (sha256, pieces, hash_state) = ("b".repeat(64), Vec::new(), String::new());
        let unit = UnitRecord { len: 10, sha256, source_bytes: 40, pieces, hash_state };
        let sealed = [seal(&key.text(), &model), seal(&key.unit(1), &unit)].map(|text| text.expect("sealed"));
        let written = format!("{}\n{}\n{}\n", key.text(), sealed[0], sealed[1]);
        assert_eq!(written, include_str!("../../tests/fixtures/stored/records.txt"));
    }

    #[test]
    fn a_record_counts_as_it_was_written_and_where_it_was_written() {
        let text = seal("a|b\n00000001", &vec![1, 20, 3]).expect("sealed");
        assert_eq!(unseal("a|b\n00000001", &text), Some(vec![1, 20, 3]));
        assert_eq!(unseal::<Vec<i32>>("a|b\n00000002", &text), None, "a record of another place");
        for (at, _) in text.char_indices() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).expect("text");
            assert_eq!(unseal::<Vec<i32>>("a|b\n00000001", &changed), None, "{changed}");
        }
        for damaged in ["", "[1,20,3]", &text[1..], "é".repeat(40).as_str()] {
            assert_eq!(unseal::<Vec<i32>>("a|b\n00000001", damaged), None, "{damaged}");
        }
    }
}
