//! Files of token packs that are damaged or malicious: each ends in a typed error that says what is wrong.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenformer_web::config::ModelConfig;
use tokenformer_web::error::ErrorCode;
use tokenformer_web::packs::{Pack, PackAbout, PackBase, PackFile};
use tokenformer_web::pattention::Pattention;

fn config() -> ModelConfig {
    let json = r#"{"num_layers":2,"hidden_size":32,"num_attention_heads":2,"qkv_slot_num":32,"proj_slot_num":32,
        "ffn_slot_num":64,"padded_vocab_size":64}"#;
    ModelConfig::from_json(json.as_bytes()).expect("config")
}

/// A file with this header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A file with this metadata and these tensors, each with dtype, shape and bytes.
fn pack(metadata: Value, tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut header = json!({ "__metadata__": metadata });
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        header[*name] =
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [data.len(), data.len() + bytes.len()] });
        data.extend(bytes);
    }
    file(&header.to_string(), &data)
}

fn metadata() -> Value {
    json!({ "format": "tokenformer-pack", "version": "1" })
}

fn with(name: &str, text: &str) -> Value {
    let mut fields = metadata();
    fields[name] = json!(text);
    fields
}

const KEYS: &str = "layers.0.mlp.key_tokens";
const VALUES: &str = "layers.0.mlp.value_tokens";

fn halves(tokens: usize, width: usize) -> (&'static str, Vec<usize>, Vec<u8>) {
    ("F16", vec![tokens, width], vec![0; 2 * tokens * width])
}

/// A pack for one Pattention, of two such tensors.
fn pair(metadata: Value, keys: (&str, Vec<usize>, Vec<u8>), values: (&str, Vec<usize>, Vec<u8>)) -> Vec<u8> {
    pack(metadata, &[(KEYS, keys.0, keys.1, keys.2), (VALUES, values.0, values.1, values.2)])
}

#[track_caller]
fn refused(what: &str, bytes: &[u8], says: &str) {
    let e = PackFile::read(bytes, &config()).map(drop).expect_err(what);
    assert_eq!(e.code, ErrorCode::InvalidConfig, "{what}: {e}");
    assert!(e.to_string().contains(says), "{what}: {e}");
}

#[test]
fn every_precision_is_read() {
    for (dtype, one) in [("F16", vec![0x00, 0x3c]), ("BF16", vec![0x80, 0x3f]), ("F32", vec![0, 0, 0x80, 0x3f])] {
        let tensor = || (dtype, vec![2, 32], one.repeat(64));
        let read = PackFile::read(&pair(metadata(), tensor(), tensor()), &config()).expect(dtype);
        assert_eq!(read.about, PackAbout::default());
        let tokens = read.pack.layers[0][Pattention::Mlp as usize].as_ref().expect("tokens");
        assert_eq!((&tokens.keys, &tokens.values), (&vec![1.0; 64], &vec![1.0; 64]), "{dtype}");
        assert_eq!(read.pack.layers.len(), 1, "the second layer is missing");
    }
}

#[test]
fn what_is_no_pack_is_told() {
    let good = pair(metadata(), halves(2, 32), halves(2, 32));
    PackFile::read(&good, &config()).expect("good");
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("a text", b"Once upon a time there was a file that was no pack.".to_vec()),
        ("a header without an end", u64::MAX.to_le_bytes().to_vec()),
        ("a header that is cut off", good[..40].to_vec()),
        ("data that are cut off", good[..good.len() - 1].to_vec()),
        ("data too many", [&good[..], &[0]].concat()),
        ("a header that is no JSON", file("{\"__metadata__\":", &[])),
        ("a header that is a list", file("[]", &[])),
    ] {
        refused(what, &bytes, "cannot be read as safetensors");
    }
    let lying = |from: usize, to: usize| {
        let info = |from: usize, to: usize| json!({ "dtype": "F16", "shape": [2, 32], "data_offsets": [from, to] });
        let header = json!({ "__metadata__": metadata(), KEYS: info(0, 128), VALUES: info(from, to) });
        file(&header.to_string(), &[0; 256])
    };
    PackFile::read(&lying(128, 256), &config()).expect("this is true");
    for (from, to) in [(0, 128), (128, 255), (128, 1 << 40), (256, 128), (64, 192), (usize::MAX - 1, usize::MAX)] {
        refused(&format!("{from} to {to}"), &lying(from, to), "cannot be read as safetensors");
    }
    let huge = json!({ "__metadata__": metadata(), KEYS: { "dtype": "F16", "shape": [usize::MAX, 32], "data_offsets": [0, 0] } });
    refused("a shape that is none", &file(&huge.to_string(), &[]), "cannot be read as safetensors");
}

#[test]
fn names_that_come_twice_are_one_tensor_or_none() {
    let info = |from: usize| format!(r#"{{"dtype":"F16","shape":[2,32],"data_offsets":[{from},{}]}}"#, from + 128);
    let meta = metadata();
    let twice =
        format!(r#"{{"__metadata__":{meta},"{KEYS}":{},"{KEYS}":{},"{VALUES}":{}}}"#, info(0), info(128), info(256));
    refused("keys twice", &file(&twice, &[0; 384]), "cannot be read as safetensors");
    let twice = format!(r#"{{"__metadata__":{meta},"__metadata__":{meta},"{KEYS}":{}}}"#, info(0));
    refused("metadata twice", &file(&twice, &[0; 128]), "");
}

#[test]
fn metadata_are_checked() {
    let of = |metadata: Value| pair(metadata, halves(2, 32), halves(2, 32));
    for (metadata, says) in [
        (json!({}), "`format` says nothing"),
        (json!({ "format": "pt" }), "\"pt\""),
        (json!({ "format": "tokenformer-pack" }), "no `version`"),
        (with("version", "2"), "newer release"),
        (with("strength", "strong"), "strength is \"strong\""),
        (with("strength", "4.5"), "between -4 and 4"),
        (with("strength", "NaN"), "strength"),
        (with("base", "{"), "`base` cannot be read"),
        (with("base", r#"{"shape":{"hidden_size":64}}"#), "hidden_size 64; this one has 32"),
        (with("base", r#"{"id":"a/b","shape":{"num_attention_heads":4}}"#), "num_attention_heads 4, a/b"),
        (with("training", "1,"), "`training` cannot be read"),
    ] {
        refused(&metadata.to_string(), &of(metadata.clone()), says);
    }
    let about = PackFile::read(&of(with("strength", "-4")), &config()).expect("weak").about;
    assert_eq!(about.strength, -4.0);
}

#[test]
fn tensors_are_checked() {
    let all = |metadata, tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]| pack(metadata, tensors);
    refused("no tokens", &all(metadata(), &[]), "holds no tokens");
    for name in [
        "embedding",
        "layers.0.mlp",
        "layers.0.mlp.keys",
        "layers.0.head.key_tokens",
        "layers.01.mlp.key_tokens",
        "layers.-1.mlp.key_tokens",
        "layers.0.mlp.key_tokens.more",
        "layers.99999999999999999999.mlp.key_tokens",
    ] {
        refused(name, &all(metadata(), &[(name, "F16", vec![2, 32], vec![0; 128])]), "no name of a pack's tensor");
    }
    let name = "layers.2.mlp.key_tokens";
    refused(name, &all(metadata(), &[(name, "F16", vec![2, 32], vec![0; 128])]), "layer 2; this model has 2 layers");
    refused(
        "keys alone",
        &all(metadata(), &[(KEYS, "F16", vec![2, 32], vec![0; 128])]),
        "but not layers.0.mlp.value_tokens",
    );
    let good = || halves(2, 32);
    for (what, keys, says) in [
        ("another width", halves(2, 64), "values; this model's have 32"),
        ("one axis", ("F16", vec![64], vec![0; 128]), "shape [64]"),
        ("none", halves(0, 32), "0 tokens; 1 to 256"),
        ("too many", halves(257, 32), "257 tokens; 1 to 256"),
        ("other counts", halves(3, 32), "has 3 tokens, but"),
        ("integers", ("I16", vec![2, 32], vec![0; 128]), "I16; F16, F32 and BF16"),
        ("infinity", ("F16", vec![2, 32], [0, 0x7c].repeat(64)), "inf"),
        ("NaN", ("F32", vec![2, 32], [0, 0, 0xc0, 0x7f].repeat(64)), "NaN"),
    ] {
        refused(what, &pair(metadata(), keys, good()), says);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var("TOKENFORMER_FULL").is_ok() { 20_000 } else { 2000 }, ..Default::default() })]

    #[test]
    fn damage_is_an_error_or_another_pack(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), cuts in any::<bool>()) {
        let about = PackAbout { name: Some("name".into()), base: PackBase::new("a/b", "main", &config()), ..PackAbout::default() };
        let mut bytes = PackFile { about, pack: Pack::fresh(&config(), &Pattention::ALL[..2], 2, 1) }.to_bytes(&config());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        match PackFile::read(&bytes, &config()) {
            Ok(file) => {
                file.pack.check(&config()).expect("its shape");
                prop_assert!(file.pack.slices().flatten().all(|x| x.is_finite()));
            }
            Err(e) => prop_assert_eq!(e.code, ErrorCode::InvalidConfig, "{}", e),
        }
    }
}
