//! The hashes that the hub and our manifest give, as lower-case hex text.

use sha1::Sha1;
use sha2::digest::Digest;
use sha2::digest::common::hazmat::SerializableState;
use std::fmt::Write;

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}"); // a String takes everything
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = digits.filter(|d| d.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect())
}

/// SHA-256 of bytes that come one after the other; it can be interrupted and resumed.
#[derive(Clone, Debug, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// What has to be stored to resume later.
    pub fn state(&self) -> String {
        hex(&self.0.serialize())
    }

    /// Resumes from a stored state; `None` if it is invalid.
    pub fn resume(state: &str) -> Option<Self> {
        let bytes = unhex(state)?;
        let state = bytes.as_slice().try_into().ok()?;
        sha2::Sha256::deserialize(&state).ok().map(Self)
    }

    /// The hash of all bytes so far.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

/// The id that git gives to a file.
pub fn git_blob_id(bytes: &[u8]) -> String {
    let mut sha = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    sha.update(bytes);
    hex(&sha.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(git_blob_id(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a"); // git hash-object
    }

    #[test]
    fn interrupted_and_resumed() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 63, 64, 65, 999, 1000] {
            let mut first = Sha256::default();
            first.update(&bytes[..cut]);
            let mut second = Sha256::resume(&first.state()).expect("its own state");
            second.update(&bytes[cut..]);
            assert_eq!(second.finish(), sha256(&bytes));
        }
        for bad in ["", "zz", "00", "é0"] {
            assert!(Sha256::resume(bad).is_none());
        }
    }
}
