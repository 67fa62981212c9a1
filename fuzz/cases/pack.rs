//! Token packs, for a small model.
use tokenformer_web::config::ModelConfig;
use tokenformer_web::packs::PackFile;

const CONFIG: &[u8] =
    br#"{"num_layers":2,"hidden_size":32,"num_attention_heads":2,"qkv_slot_num":32,"proj_slot_num":32,
    "ffn_slot_num":64,"padded_vocab_size":64}"#;

/// What no input may bring to panic, to hang, or to take too much memory.
pub fn run(data: &[u8]) {
    let config = ModelConfig::from_json(CONFIG).expect("a shape");
    let Ok(file) = PackFile::read(data, &config) else { return };
    file.pack.check(&config).expect("its shape");
    assert!(file.pack.bytes() <= 2 * data.len(), "f16 and f32 of what is there");
    let _ = file.about.note("owner/name", "main");
    // What is written of it is a pack again, and then stays as it is.
    let bytes = file.to_bytes(&config);
    let again = PackFile::read(&bytes, &config).expect("what was written");
    assert!(again.to_bytes(&config) == bytes);
}
