//! What a file is that is not what its name says: cloning a model without git-lfs leaves a pointer in its place, and
//! hosts answer with pages. The first bytes show it, so that the error can say what to do.

use crate::error::Error;

/// First bytes of a file that show all that can be recognized.
pub const ENOUGH: u64 = 512;
/// Fewest bytes that are needed to recognize anything.
const LEAST: usize = 8;

/// Something other than a model's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The few lines that replace a large file in a git repository.
    LfsPointer,
    /// An HTML or XML page.
    Page,
    /// `torch.save` before PyTorch 1.6.
    OldTorch,
    /// A `torch.save` archive, or another ZIP.
    Zip,
    /// A safetensors file.
    Safetensors,
    /// llama.cpp's format.
    Gguf,
    /// A file that was compressed as a whole.
    Gzip,
}

/// True if `bytes` begins as `pattern` does, as far as both go.
fn begins(bytes: &[u8], pattern: &[u8]) -> bool {
    let len = bytes.len().min(pattern.len());
    bytes[..len].eq_ignore_ascii_case(&pattern[..len])
}

/// What a file is that begins with these bytes, if it is known.
pub fn kind(first: &[u8]) -> Option<Kind> {
    if first.len() < LEAST {
        return None;
    }
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
    let is_page = [b"<!doctype".as_slice(), b"<html", b"<head", b"<?xml"].iter().any(|p| begins(text, p));
    let header = first.first_chunk().map_or(u64::MAX, |len| u64::from_le_bytes(*len));
    Some(match first {
        _ if begins(first, b"version https://git-lfs") => Kind::LfsPointer,
        _ if is_page && !text.is_empty() => Kind::Page,
        [b'P', b'K', 3, 4, ..] => Kind::Zip,
        [b'G', b'G', b'U', b'F', ..] => Kind::Gguf,
        [0x1f, 0x8b, ..] => Kind::Gzip,
        [0x80, 2..=5, 0x8a, 0x0a, ..] => Kind::OldTorch,
        [_, _, _, _, _, _, _, _, b'{', ..] if header < 1 << 32 => Kind::Safetensors,
        _ => return None,
    })
}

/// The error of a file that is something else, if `first` shows it. A file of the `expected` kind is no mistake.
pub fn mistaken(file: &str, first: &[u8], expected: Option<Kind>) -> Option<Error> {
    let kind = kind(first).filter(|kind| Some(*kind) != expected)?;
    let (what, next) = match kind {
        Kind::LfsPointer => (
            "is a git-lfs pointer, not the file itself",
            "Run `git lfs pull` where the files come from, or load from a host that serves the file itself.",
        ),
        Kind::Page => (
            "is a web page, not the file itself",
            "Open its address in a browser to see what the host says, and use the address of the files themselves.",
        ),
        Kind::OldTorch => (
            "is in the format of torch.save before PyTorch 1.6",
            "Load it in PyTorch and save it again: torch.save(torch.load(…, map_location=\"cpu\"), …).",
        ),
        Kind::Zip => ("is a ZIP archive", "A torch.save archive is to be named pytorch_model.bin."),
        Kind::Safetensors => (
            "is a safetensors file",
            "A quantized model is to be named model.safetensors; other safetensors files are not read.",
        ),
        Kind::Gguf => {
            ("is a GGUF file", "Use the model's pytorch_model.bin, or what this project's convert tool wrote.")
        }
        Kind::Gzip => ("is compressed with gzip", "Unpack it where the files come from."),
    };
    Some(Error::unsupported(format!("{file} {what}.")).hint(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_files_place() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:aaaa\nsize 608000000\n";
        for (first, want) in [
            (&pointer[..], Some(Kind::LfsPointer)),
            (&pointer[..8], Some(Kind::LfsPointer)),
            (b"version 2 of something else", None),
            (b"\xef\xbb\xbf\n <!DOCTYPE html><p>Hello", Some(Kind::Page)),
            (b"<html lang=en>", Some(Kind::Page)),
            (b"<!doctyp", Some(Kind::Page)),
            (b"          ", None),
            (b"PK\x03\x04\x00\x00\x00\x00", Some(Kind::Zip)),
            (b"GGUF\x03\x00\x00\x00", Some(Kind::Gguf)),
            (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", Some(Kind::Gzip)),
            (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9", Some(Kind::OldTorch)),
            (b"\x40\x00\x00\x00\x00\x00\x00\x00{\"a\"", Some(Kind::Safetensors)),
            (b"\0\0\0\0\0\0\0\0\0", None),
            (b"PK", None),
            (b"", None),
        ] {
            assert_eq!(kind(first), want, "{:?}", first.escape_ascii().to_string());
        }
        let e = mistaken("pytorch_model.bin", pointer, Some(Kind::Zip)).expect("a pointer");
        assert_eq!(e.code.as_str(), "unsupported-checkpoint");
        assert!(e.to_string().contains("git-lfs pointer") && e.to_string().contains("git lfs pull"), "{e}");
        assert!(mistaken("pytorch_model.bin", b"PK\x03\x04....", Some(Kind::Zip)).is_none());
    }
}
