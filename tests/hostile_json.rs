//! Malicious answers of a host about a model: tokenizers, headers, lists and manifests end in a typed error, quickly
//! and in little memory. The fuzz targets look for unforeseen cases; the ones that were found are here.

use crate::common::torch_zip::{Kind, Storage, View, pickle};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokenformer_web::checkpoint::folder::{Shard, header_len, shard_names};
use tokenformer_web::checkpoint::{pickle::parse_state_dict, zip::find_directory};
use tokenformer_web::config::{ModelConfig, PartialConfig};
use tokenformer_web::error::{Error, ErrorCode};
use tokenformer_web::hub::listing::{Listing, commit};
use tokenformer_web::hub::manifest::Manifest;
use tokenformer_web::tokenizer::Tokenizer;

/// A tokenizer of the letters a, b and é, in which "ab" is one token and "<end>" an added one.
fn tokenizer() -> Value {
    json!({
        "version": "1.0",
        "added_tokens": [{ "id": 5, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true }],
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true },
        "model": { "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2, "Ã": 3, "©": 4 }, "merges": ["a b"] },
    })
}

/// The same with another value at a path.
fn with(path: &str, value: Value) -> Value {
    let mut json = tokenizer();
    let (parent, key) = path.rsplit_once('/').expect("a path");
    json.pointer_mut(parent).expect("a part of the file")[key] = value;
    json
}

fn read(json: &Value) -> Result<Tokenizer, Error> {
    Tokenizer::from_json(json.to_string().as_bytes())
}

#[test]
fn tokenizers_that_would_harm_the_library_are_refused_by_name() {
    let added = |id: u32, content: &str| {
        let mut token = tokenizer()["added_tokens"][0].clone();
        (token["id"], token["content"]) = (id.into(), content.into());
        with("/added_tokens", json!([token]))
    };
    let sequence = json!({ "type": "Sequence", "pretokenizers": [] });
    let regex = json!({ "type": "Split", "pattern": { "Regex": "((?=a)b{1000}){1000}" }, "behavior": "Isolated", "invert": false });
    for (what, says) in [
        (with("/model/merges", json!([["ab", "ab"]])), "longer than every token"),
        (with("/model/merges", json!(["a b c"])), "merge"),
        (with("/model/merges", json!([["a"]])), "two tokens"),
        (with("/model/merges", json!([["b", "a"]])), "cannot be used"),
        (with("/model/continuing_subword_prefix", json!("é")), "continuing_subword_prefix"),
        (with("/model/end_of_word_suffix", json!("</w>")), "end_of_word_suffix"),
        (with("/model/type", json!("WordPiece")), "WordPiece"),
        (with("/model/vocab", json!({})), "longer than every token"),
        (with("/model/vocab/ab", json!(1)), "same id"),
        (with("/model/vocab/ab", json!(-1)), "cannot be read"),
        (with("/model/vocab/unused", json!(1 << 20)), "1048576"),
        (with("/model/vocab/unused", json!(u64::MAX)), "cannot be read"),
        (with(&format!("/model/vocab/{}", "x".repeat(5000)), json!(6)), "5000 bytes"),
        (with("/pre_tokenizer", regex), "Split"),
        (with("/pre_tokenizer", json!({ "type": "Sequence", "pretokenizers": [sequence] })), "Sequence"),
        (
            with("/pre_tokenizer", json!({ "type": "Sequence", "pretokenizers": vec![sequence.clone(); 9] })),
            "at most 8",
        ),
        (with("/normalizer", json!({ "type": "Replace", "pattern": { "Regex": "a" }, "content": "b" })), "Replace"),
        (with("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "////" })), "Precompiled"),
        (with("/decoder", json!({ "type": "WordPiece" })), "decoder"),
        (with("/decoder", Value::Null), "decoder"),
        (added(4, "<end>"), "of another"),
        (added(7, "<end>"), "next one"),
        (added(5, "ab"), "next one"),
        (added(5, ""), "next one"),
        (added(5, &"x".repeat(5000)), "5000 bytes"),
    ] {
        let e = read(&what).err().unwrap_or_else(|| panic!("{says} was accepted"));
        assert_eq!(e.code, ErrorCode::InvalidConfig);
        assert!(e.message.contains(says), "{says}: {e}");
    }
    // Each one is permitted, and so is their number; but the library needs half a minute for all together.
    let many: Vec<Value> = (0..4000).map(|i| added(5 + i, &format!("{i:0>4000}"))["added_tokens"][0].clone()).collect();
    let e = soon(|| read(&with("/added_tokens", json!(many)))).err().expect("refused");
    assert!(e.message.contains("16000000 bytes together"), "{e}");
    let long = format!("{}{}", tokenizer(), " ".repeat(16 << 20));
    assert!(Tokenizer::from_json(long.as_bytes()).is_err_and(|e| e.message.contains("bytes")));
}

#[test]
fn what_would_change_texts_is_dropped() {
    let template = json!({ "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "<end>", "type_id": 0 } }],
        "pair": [], "special_tokens": {} });
    let fixed = json!({ "strategy": { "Fixed": 4_000_000_000u32 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "a" });
    let first = json!({ "direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0 });
    for (path, value) in [
        ("/model/dropout", json!(1.0)),
        ("/model/unk_token", json!("not there")),
        ("/model/merges", json!([["a", "b"]])),
        ("/post_processor", template),
        ("/padding", fixed),
        ("/truncation", first),
        (
            "/pre_tokenizer",
            json!({ "type": "Sequence", "pretokenizers": [
            { "type": "Digits", "individual_digits": true }, { "type": "ByteLevel", "add_prefix_space": false }] }),
        ),
    ] {
        let tokenizer = read(&with(path, value)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(tokenizer.size(), 6);
        let ids = tokenizer.encode("abé<end>b").expect("ids");
        assert_eq!(ids, [2, 3, 4, 5, 1], "{path}");
        assert_eq!(tokenizer.decode(&ids), "abé<end>b");
    }
}

/// Fails if `work` takes longer than a machine under load may need for work that is linear in its input.
fn soon<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    done
}

#[test]
fn a_long_key_is_not_looked_at_again_and_again() {
    let storages = [Storage { kind: Kind::F32, values: vec![0.0; 4] }];
    let good = pickle(&storages, &[View::new("a", 0, 0, &[4])]);
    let (before, id) = (good.iter().position(|b| *b == b'(').expect("a dict") + 1, b"X\x07\x00\x00\x00storage");
    let mut long = [&good[..before], b"(", id, b"ctorch\nFloatStorage\nX\x00\x00\x40\x00"].concat();
    long.extend(vec![b'k'; 4 << 20]);
    long.extend(b"X\x03\x00\x00\x00cpuK\x04tq\x01");
    // Each of them names a storage with the remembered tuple.
    long.extend(b"Qh\x01".repeat(100_000));
    let e = soon(|| parse_state_dict(&long)).expect_err("a long key");
    assert!(e.message.contains("too long"), "{e}");
}

#[test]
fn headers_that_claim_too_much() {
    let config = ModelConfig::preset("TokenFormer-150M").expect("preset");
    assert!(header_len((4u64 << 20).to_le_bytes()).is_ok());
    assert!(header_len(((4u64 << 20) + 1).to_le_bytes()).is_err());
    for (shape, end) in [(format!("[{}]", u64::MAX), u64::MAX), ("[4611686018427387904]".into(), 1 << 62)] {
        let header = format!(r#"{{"a":{{"dtype":"I8","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        let e = Shard::parse(header.as_bytes(), &config).expect_err("too large");
        assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint, "{e}");
    }
    let index = format!(r#"{{"weight_map":{{{}"a":"b.safetensors"}}}}"#, " ".repeat(4 << 20));
    assert!(shard_names(index.as_bytes()).is_err());
    let end = [&b"PK\x05\x06"[..], &[0; 18]].concat();
    assert!(find_directory(&end, 1 << 40).is_ok());
    assert!(find_directory(&end, u64::MAX).is_err_and(|e| e.message.contains("18446744073709551615 bytes")));
}

#[test]
fn lists_without_end() {
    let page = |n: usize| {
        let file = |i: usize| json!({ "type": "file", "path": format!("{i}.safetensors"), "size": i });
        serde_json::to_vec(&(0..n).map(file).collect::<Vec<_>>()).expect("json")
    };
    let manifest = |n: usize| {
        let file = |i: usize| json!({ "path": format!("{}.safetensors", 99_999 - i), "size": 99_999 - i, "sha256": "0".repeat(64) });
        serde_json::to_vec(&json!({ "format": 1, "files": (0..n).map(file).collect::<Vec<_>>() })).expect("json")
    };
    let mut listing = Listing::complete();
    listing.add_page(&page(100_000)).expect("as many as there may be");
    assert!(listing.add_page(&page(1)).is_err_and(|e| e.code == ErrorCode::Network));
    let known = Manifest::from_json(&manifest(2000)).expect("as many as there may be").expect("known");
    soon(|| listing.add_manifest(&known));
    assert!(listing.file("98765.safetensors").is_some_and(|f| f.manifest.is_some()));
    assert!(Manifest::from_json(&manifest(2001)).is_err_and(|e| e.code == ErrorCode::InvalidConfig));
    let mut listing = Listing::complete();
    let long = json!([{ "type": "file", "path": "x".repeat(9 << 20) }]).to_string();
    let pages = (0..4).map(|_| listing.add_page(long.as_bytes()).is_ok()).collect::<Vec<_>>();
    assert_eq!(pages, [true, true, true, false], "32 MiB in all");
}

#[test]
fn deep_nesting_ends_before_the_stack_does() {
    let config = ModelConfig::preset("TokenFormer-150M").expect("preset");
    for open in
        ["[", "{\"a\":", "{\"model\":", "{\"normalizer\":{\"normalizers\":[", "{\"files\":[", "{\"weight_map\":"]
    {
        let json = open.repeat(200_000);
        let json = json.as_bytes();
        assert!(Tokenizer::from_json(json).is_err());
        assert!(PartialConfig::from_json(json).is_err());
        assert!(Shard::parse(json, &config).is_err());
        assert!(shard_names(json).is_err());
        assert!(Listing::complete().add_page(json).is_err());
        assert!(commit(json).is_err());
        // None of these may be read as a manifest.
        assert!(!matches!(Manifest::from_json(json), Ok(Some(_))));
    }
}

#[test]
fn errors_do_not_repeat_a_whole_file() {
    let long = "é\u{202e}<b>".repeat(100_000);
    let text = |value: Value| value.to_string().into_bytes();
    let config = ModelConfig::preset("TokenFormer-150M").expect("preset");
    let errors = [
        PartialConfig::from_json(&text(json!({ "norm_activation_type": long }))).err(),
        ModelConfig::from_json(&text(json!({ "model_type": long }))).err(),
        read(&with("/model/type", json!(long))).err(),
        read(&with("/normalizer", json!({ "type": long }))).err(),
        Shard::parse(&text(json!({ "a": { "dtype": long } })), &config).err(),
        shard_names(&text(json!({ "weight_map": { "a": long } }))).err(),
        commit(&text(json!({ "sha": long }))).err(),
        Listing::complete().add_page(&text(json!([{ "type": 1, "path": long }]))).err(),
        Manifest::from_json(&text(json!({ "format": 1, "files": [{ "path": long, "size": 1, "sha256": "" }] }))).err(),
    ];
    for (i, e) in errors.into_iter().enumerate() {
        let e = e.unwrap_or_else(|| panic!("{i} was accepted"));
        let cause = std::error::Error::source(&e).map_or(0, |cause| cause.to_string().len());
        assert!(e.message.len() < 2010 && e.hint.len() < 2010 && cause < 2010, "{i}");
    }
}
