//! `tokenizer.json`: whatever is accepted encodes and decodes every text.
use tokenformer_web::tokenizer::Tokenizer;

/// What no input may bring to panic, to hang, or to take too much memory.
pub fn run(data: &[u8]) {
    let Ok(tokenizer) = Tokenizer::from_json(data) else { return };
    for text in ["", "ab aab  b\n", "é 日本 <end>\u{0}", &String::from_utf8_lossy(&data[..data.len().min(200)])] {
        if let Ok(ids) = tokenizer.encode(text) {
            assert!(ids.iter().all(|id| (*id as usize) < tokenizer.size()));
            let _ = tokenizer.decode(&ids);
        }
    }
}
