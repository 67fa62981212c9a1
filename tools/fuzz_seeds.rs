//! Writes the inputs that fuzzing starts from: small and valid ones of every format, made by the project's own writers.
//!
//! usage: cargo run --example fuzz_seeds -- fuzz/seeds

#[path = "../tests/common/torch_zip.rs"]
#[allow(dead_code)] // the tests use more of it
mod torch_zip;

use serde_json::{Value, json};
use std::io::Cursor;
use std::path::Path;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile};
use tokenformer_web::checkpoint::layout::Quantization;
use tokenformer_web::checkpoint::{TableSource, folder::header_len, write::write_folder};
use tokenformer_web::config::{ModelConfig, PartialConfig};
use tokenformer_web::error::{Error, Result};
use tokenformer_web::packs::{Pack, PackAbout, PackBase, PackFile};
use tokenformer_web::pattention::Pattention;
use torch_zip::{Kind, Variant, archive, pickle, tiny_model};

const TOKENIZER: &[u8] = include_bytes!("../tests/fixtures/gpt-neox/tokenizer.json");
/// Tokens of GPT-NeoX-20B that the seed keeps: its special ones, all bytes, and the first merges.
const TOKENS: u64 = 300;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [folder] => write(Path::new(folder)),
        _ => Err(Error::invalid_argument("usage: fuzz_seeds FOLDER")),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("fuzz_seeds: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// The shape in `fuzz/cases/pack.rs`.
fn pack_shape() -> Result<ModelConfig> {
    let shape = json!({ "num_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "qkv_slot_num": 32, "proj_slot_num": 32,
        "ffn_slot_num": 64, "padded_vocab_size": 64 });
    ModelConfig::from_json(&text(&shape)?)
}

fn pack_about() -> PackAbout {
    let base = pack_shape().map(|shape| PackBase::new("owner/name", "main", &shape)).unwrap_or_default();
    let training = Some(json!({ "loss": [3.5, 2.25] }));
    PackAbout { name: Some("name".into()), strength: 0.5, base, training, license: Some("CC0-1.0".into()) }
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::invalid_argument(format!("{e}."))
}

fn write(seeds: &Path) -> Result<()> {
    let save = |target: &str, name: &str, bytes: &[u8]| {
        let folder = seeds.join(target);
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), bytes)).map_err(failed)
    };
    let mut config = None;
    for (name, kind, prefix, zip64_entries) in
        [("plain", Kind::F16, "", false), ("zip64", Kind::Bf16, "module.sequential.", true)]
    {
        let (storages, views) = tiny_model(kind, prefix, 2);
        let bytes = archive(&storages, &views, Variant { zip64_entries, ..Variant::default() });
        save("archive", &format!("{name}.bin"), &[&[0; 8], bytes.as_slice()].concat())?;
        save("pickle", &format!("{name}.pkl"), &pickle(&storages, &views))?;
        let heads = PartialConfig { num_attention_heads: Some(1), ..PartialConfig::default() };
        let mut source = PytorchFile::new(Cursor::new(bytes), None, Some(heads), None)?;
        for quantization in Quantization::ALL {
            folder(&mut source, quantization, &save)?;
        }
        config = Some(source.config().clone());
    }
    save("config", "tiny.json", &text(&config)?)?;
    save("config", "published.json", &text(&ModelConfig::preset("TokenFormer-900M"))?)?;
    let strings = json!({ "num_hidden_layers": "2", "vocab_size": 50257, "norm_activation_type": "softmax", "rotary_pct": "0.5" });
    save("config", "strings.json", &text(&strings)?)?;
    for (name, about, kinds, width) in
        [("plain", PackAbout::default(), &Pattention::ALL[..2], 1.0), ("f32", pack_about(), &Pattention::ALL[3..], 1e6)]
    {
        let shape = pack_shape()?;
        let mut pack = Pack::fresh(&shape, kinds, 2, 1);
        pack.slices_mut().flatten().for_each(|x| *x *= width);
        save("pack", &format!("{name}.safetensors"), &PackFile { about, pack }.to_bytes(&shape))?;
    }
    save("tokenizer", "small.json", &text(&tokenizer()?)?)?;
    save("hub", "commit.json", &text(&json!({ "sha": "0123456789abcdef0123456789abcdef01234567", "id": "o/n" }))?)?;
    let file = json!({ "type": "file", "path": "config.json", "size": 7, "oid": "abc" });
    let lfs = json!({ "type": "file", "path": "model.safetensors", "size": 134, "oid": "x",
        "lfs": { "oid": format!("sha256:{}", "a".repeat(64)), "size": 5_000_000_000u64, "pointerSize": 134 } });
    save("hub", "tree.json", &text(&json!([{ "type": "directory", "path": "d", "oid": "1" }, file, lfs]))?)?;
    save("hub", "link.txt", b"<https://h/1>; rel=\"first\", <https://h/api?cursor=2>; rel=\"next\"")?;
    save("hub", "range.txt", b"bytes 0-9/100")?;
    save("hub", "limit.txt", b"\"api\";r=0;t=55")?;
    // Sizes that no file has, and what may be found in a file's place.
    let hash = "a".repeat(64);
    let file = format!("{{\"path\":\"model.safetensors\",\"size\":9007199254740992,\"sha256\":\"{hash}\"}}");
    save("hub", "absurd.manifest.json", format!("{{\"format\":1,\"files\":[{file}]}}").as_bytes())?;
    let lfs = format!("{{\"oid\":\"{hash}\",\"size\":9007199254740992}}");
    let file = format!("{{\"type\":\"file\",\"path\":\"pytorch_model.bin\",\"size\":134,\"lfs\":{lfs}}}");
    save("hub", "absurd.tree.json", format!("[{file}]").as_bytes())?;
    save("hub", "absurd.range.txt", b"bytes 0-0/9007199254740992")?;
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{hash}\nsize 608000000\n");
    save("hub", "pointer.txt", pointer.as_bytes())
}

/// The header, index and manifest of a quantized folder.
fn folder(
    source: &mut PytorchFile<Cursor<Vec<u8>>>,
    quantization: Quantization,
    save: &impl Fn(&str, &str, &[u8]) -> Result<()>,
) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("fuzz-seeds-{}", std::process::id()));
    let name = quantization.as_str();
    for shard_bytes in [u64::MAX, 3000] {
        std::fs::create_dir_all(&folder).map_err(failed)?;
        write_folder(source, quantization, None, &folder, shard_bytes, |_| {})?;
        ModelFolder::open(&folder)?;
        let read = |file: &str| std::fs::read(folder.join(file)).map_err(failed);
        if shard_bytes == u64::MAX {
            let file = read("model.safetensors")?;
            let first = file.first_chunk().ok_or_else(|| failed("a file without a header"))?;
            save("safetensors", &format!("{name}.bin"), &file[..8 + header_len(*first)?])?;
        } else {
            save("safetensors", &format!("{name}.index.json"), &read("model.safetensors.index.json")?)?;
        }
        save("hub", &format!("{name}.manifest.json"), &read("manifest.json")?)?;
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    Ok(())
}

fn text(json: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(json).map_err(failed)
}

/// GPT-NeoX-20B's tokenizer without most of its tokens.
fn tokenizer() -> Result<Value> {
    let mut json: Value = serde_json::from_slice(TOKENIZER).map_err(failed)?;
    let model = &mut json["model"];
    let Some(vocab) = model["vocab"].as_object_mut() else { return Err(failed("a tokenizer without tokens")) };
    vocab.retain(|_, id| id.as_u64().is_some_and(|id| id < TOKENS));
    let kept = vocab.clone();
    let Some(merges) = model["merges"].as_array_mut() else { return Err(failed("a tokenizer without merges")) };
    merges.retain(|m| m.as_str().is_some_and(|m| kept.contains_key(&m.replace(' ', ""))));
    let Some(added) = json["added_tokens"].as_array_mut() else { return Err(failed("no added tokens")) };
    added.truncate(4);
    for (token, id) in added.iter_mut().skip(2).zip(TOKENS..) {
        token["id"] = id.into();
    }
    Ok(json)
}
