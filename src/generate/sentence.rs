//! Where a sentence ends.

/// Marks that end a sentence where a space or nothing follows.
const ENDS: [char; 4] = ['.', '!', '?', '…'];
/// Marks that end a sentence whatever follows: their languages have no spaces.
const FULL_WIDTH_ENDS: [char; 4] = ['。', '！', '？', '．'];
/// What may come between the mark and the space, as part of the sentence.
const CLOSERS: &[char] = &['"', '\'', '”', '’', '»', '«', '“', ')', ']', '}', '*', '_', '」', '』', '）', '】'];

/// Does `text` end with a sentence if `next` comes after it? `None`: nothing does.
pub(super) fn ends(text: &[u8], next: Option<&[u8]>) -> bool {
    // The last few characters decide.
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(64)..]);
    let sentence = text.trim_end();
    let Some(mark) = sentence.trim_end_matches(CLOSERS).chars().next_back() else { return false };
    let next = next.map(String::from_utf8_lossy);
    if FULL_WIDTH_ENDS.contains(&mark) {
        return next.is_none_or(|next| !next.starts_with(CLOSERS) && !next.starts_with(FULL_WIDTH_ENDS));
    }
    ENDS.contains(&mark)
        && (sentence.len() < text.len() || next.is_none_or(|next| next.starts_with(char::is_whitespace)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_sentences() {
        for (text, next, is_end) in [
            ("He went.", " She", true),
            ("He went.", "\n", true),
            ("He went", " on", false),
            ("It is 3.", "14", false),
            ("\"Go", "!", false),
            ("\"Go!", "\"", false),
            ("\"Go!\"", " he", true),
            ("(He went.)", " She", true),
            ("“Go…”", "\n\n", true),
            ("He went.\n", "She", true),
            ("Wait", ".", false),
            ("Wait.", "..", false),
            ("Wait...", " What", true),
            ("彼は行った。", "次", true),
            ("「行け。", "」", false),
            ("「行け。」", "と", true),
            ("", " a", false),
            (" ", "a", false),
            ("\"", " a", false),
        ] {
            assert_eq!(ends(text.as_bytes(), Some(next.as_bytes())), is_end, "{text:?} {next:?}");
        }
        assert!(ends(b"The end.", None) && !ends(b"The end", None));
        // Half a character comes first.
        assert!(!ends(&"é".repeat(60).into_bytes()[1..], None) && ends(("é".repeat(60) + "!").as_bytes(), None));
    }
}
