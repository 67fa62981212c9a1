//! Converts a published `pytorch_model.bin` into a quantized model folder.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    native::main()
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use indicatif::{ProgressBar, ProgressStyle};
    use std::collections::HashMap;
    use std::fs::File;
    use std::path::{Path, PathBuf};
    use std::process::ExitCode;
    use tokenformer_web::checkpoint::TableSource;
    use tokenformer_web::checkpoint::files::{self, PytorchFile};
    use tokenformer_web::checkpoint::layout::{Quantization, TensorId, tensors};
    use tokenformer_web::checkpoint::quantize::Stored;
    use tokenformer_web::checkpoint::write::{SHARD_BYTES, write_prepared};
    use tokenformer_web::config::PartialConfig;
    use tokenformer_web::error::{Error, Result};
    use tokenformer_web::quantizer::quantize;
    use tokenformer_web::reference::Reference;
    use tokenformer_web::tokenizer::Tokenizer;

    const HELP: &str = "\
Converts a published TokenFormer checkpoint into a quantized model folder.

usage: convert --input pytorch_model.bin --quantization q4|q8|f16 --output DIR
               [--config config.json] [--tokenizer tokenizer.json] [--calibrate TOKENS] [--shard-bytes N]

  --input         the checkpoint: float32, float16 or bfloat16, as torch.save wrote it
  --quantization  q4: 4-bit tables with an 8-bit embedding; q8: 8 bits everywhere; f16: no quantization
  --output        the folder to make; it must not exist, or be empty
  --config        default: config.json beside the input, if there is one
  --tokenizer     default: tokenizer.json beside the input, if there is one
  --calibrate     number of tokens by which to calibrate the rounding, in the thousands: 32768 is good. The model
                  writes them itself; no text is needed. It makes a better q4, above all on texts unlike the
                  training's. A model of 38M parameters takes seven minutes on two cores; larger ones take
                  far longer.
  --shard-bytes   largest file to write (default 1900000000)";

    struct Arguments {
        input: PathBuf,
        quantization: Quantization,
        output: PathBuf,
        config: Option<PathBuf>,
        tokenizer: Option<PathBuf>,
        shard_bytes: u64,
        calibrate: Option<usize>,
    }

    pub fn main() -> ExitCode {
        let mut raw = pico_args::Arguments::from_env();
        if raw.contains(["-h", "--help"]) {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        let arguments = match parse(raw) {
            Ok(arguments) => arguments,
            Err(e) => {
                eprintln!("convert: {e}\n\n{HELP}");
                return ExitCode::from(2);
            }
        };
        match run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("convert: {e}");
                ExitCode::FAILURE
            }
        }
    }

    fn parse(mut raw: pico_args::Arguments) -> std::result::Result<Arguments, String> {
        let path = |p: &std::ffi::OsStr| Ok::<_, String>(PathBuf::from(p));
        let text = |e: pico_args::Error| e.to_string();
        let name: String = raw.value_from_str("--quantization").map_err(text)?;
        let arguments = Arguments {
            input: raw.value_from_os_str("--input", path).map_err(text)?,
            quantization: Quantization::from_name(&name)
                .ok_or_else(|| format!("--quantization is {name:?}; it must be q4, q8 or f16"))?,
            // Without the trailing slash, another name can be derived from it.
            output: raw.value_from_os_str("--output", path).map_err(text)?.components().collect(),
            config: raw.opt_value_from_os_str("--config", path).map_err(text)?,
            tokenizer: raw.opt_value_from_os_str("--tokenizer", path).map_err(text)?,
            shard_bytes: raw.opt_value_from_str("--shard-bytes").map_err(text)?.unwrap_or(SHARD_BYTES),
            calibrate: raw.opt_value_from_str("--calibrate").map_err(text)?,
        };
        if arguments.calibrate.is_some()
            && (arguments.quantization == Quantization::F16 || arguments.calibrate == Some(0))
        {
            return Err("--calibrate takes at least one token, and q4 or q8".into());
        }
        let rest = raw.finish();
        if rest.is_empty() { Ok(arguments) } else { Err(format!("unknown arguments: {rest:?}")) }
    }

    /// Tables of all layers, rounded to suit what `tokens` tokens feed into them.
    fn calibrated(
        source: &mut PytorchFile<File>,
        quantization: Quantization,
        tokens: usize,
        real_ids: usize,
    ) -> Result<HashMap<TensorId, Stored>> {
        let model = Reference::load(source, false)?;
        let bar = ProgressBar::new(model.config().num_layers as u64 + 1); // what the model writes, and its layers
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} steps, {eta} left") {
            bar.set_style(style);
        }
        let tables = quantize(&model, quantization, tokens, real_ids, || bar.inc(1));
        bar.finish_and_clear();
        tables
    }

    /// A file that was named must exist; one that may lie beside the input need not.
    fn beside(named: Option<&PathBuf>, input: &Path, name: &str) -> Result<Option<Vec<u8>>> {
        let default = input.with_file_name(name);
        match named {
            Some(path) => files::read(path).map(Some),
            None if default.exists() => files::read(&default).map(Some),
            None => Ok(None),
        }
    }

    fn run(a: &Arguments) -> Result<()> {
        let config = beside(a.config.as_ref(), &a.input, "config.json")?;
        let config = config.map(|json| PartialConfig::of_published(&json));
        let tokenizer = beside(a.tokenizer.as_ref(), &a.input, "tokenizer.json")?;
        // The folder's name identifies a published model where config.json does not.
        let folder = std::path::absolute(&a.input).ok();
        let folder = folder.as_deref().and_then(Path::parent).and_then(Path::file_name).and_then(|n| n.to_str());
        let mut source = PytorchFile::new(files::open(&a.input)?, folder, config, None)?;
        let vocab = source.config().padded_vocab_size;
        let real_ids = tokenizer.as_ref().map_or(Ok(vocab), |json| Tokenizer::from_json(json).map(|t| t.size()))?;
        if real_ids > vocab {
            return Err(Error::invalid_config(format!(
                "The tokenizer has {real_ids} ids, but the model only {vocab}."
            )));
        }
        let io = |e: std::io::Error| Error::invalid_argument(format!("{}: {e}.", a.output.display()));
        if a.output.exists() && (!a.output.is_dir() || a.output.read_dir().map_err(io)?.next().is_some()) {
            return Err(Error::invalid_argument(format!("{} exists and is not empty.", a.output.display()))
                .hint("Name a new folder."));
        }
        let prepared = match a.calibrate {
            Some(tokens) => calibrated(&mut source, a.quantization, tokens, real_ids)?,
            None => HashMap::new(),
        };
        // Written under another name first: an interrupted run leaves nothing that looks like a model.
        let mut partial = a.output.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        if partial.exists() {
            std::fs::remove_dir_all(&partial).map_err(io)?;
        }
        std::fs::create_dir_all(&partial).map_err(io)?;
        let elements =
            tensors(source.config()).map(|id| id.shape(source.config())).map(|s| (s.rows * s.cols) as u64).sum();
        let bar = ProgressBar::new(elements);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}% of {len} weights, {eta} left") {
            bar.set_style(style);
        }
        let (quantization, tokenizer, shard_bytes) = (a.quantization, tokenizer.as_deref(), a.shard_bytes);
        let written =
            write_prepared(&mut source, &prepared, quantization, tokenizer, &partial, shard_bytes, |n| bar.inc(n));
        bar.finish_and_clear();
        if let Err(e) = written {
            let _ = std::fs::remove_dir_all(&partial); // the first error is the one to tell
            return Err(e);
        }
        if a.output.exists() {
            std::fs::remove_dir(&a.output).map_err(io)?;
        }
        std::fs::rename(&partial, &a.output).map_err(io)?;
        let bytes: u64 =
            a.output.read_dir().map_err(io)?.filter_map(|f| f.ok()?.metadata().ok()).map(|m| m.len()).sum();
        println!(
            "{}: {} weights as {}, {:.1} MB",
            a.output.display(),
            elements,
            a.quantization.as_str(),
            bytes as f64 / 1e6
        );
        Ok(())
    }
}
