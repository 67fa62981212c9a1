//! Writes archives as `torch.save` does: stored entries with sizes only in the directory, data aligned to
//! 64 bytes by the local extra field, ZIP64 end records always.

use half::{bf16, f16};

/// Element types of storages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    F32,
    F16,
    Bf16,
    /// Buffers that are not weights.
    Bool,
    I64,
    F64,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Self::F32 => "FloatStorage",
            Self::F16 => "HalfStorage",
            Self::Bf16 => "BFloat16Storage",
            Self::Bool => "BoolStorage",
            Self::I64 => "LongStorage",
            Self::F64 => "DoubleStorage",
        }
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Self::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            Self::Bool => values.iter().map(|v| u8::from(*v != 0.0)).collect(),
            Self::I64 => values.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect(),
            Self::F64 => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
        }
    }
}

/// A storage with its elements.
pub struct Storage {
    pub kind: Kind,
    pub values: Vec<f32>,
}

/// A view of a storage.
#[derive(Clone)]
pub struct View {
    pub name: String,
    pub storage: usize,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

impl View {
    /// A contiguous view.
    pub fn new(name: &str, storage: usize, offset: usize, shape: &[usize]) -> Self {
        let stride = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        Self { name: name.into(), storage, offset, shape: shape.to_vec(), stride }
    }
}

fn text(out: &mut Vec<u8>, s: &str) {
    out.push(b'X');
    out.extend((s.len() as u32).to_le_bytes());
    out.extend(s.as_bytes());
}

fn global(out: &mut Vec<u8>, module: &str, name: &str) {
    out.extend(format!("c{module}\n{name}\n").as_bytes());
}

fn int(out: &mut Vec<u8>, n: usize) {
    out.push(b'J');
    out.extend((n as i32).to_le_bytes());
}

fn tuple(out: &mut Vec<u8>, items: &[usize]) {
    out.push(b'(');
    items.iter().for_each(|n| int(out, *n));
    out.push(b't');
}

/// The pickle of an OrderedDict of tensors, protocol 2.
pub fn pickle(storages: &[Storage], views: &[View]) -> Vec<u8> {
    let lens: Vec<_> = storages.iter().map(|s| (s.kind, s.values.len())).collect();
    pickle_of(&lens, views)
}

/// The same, for storages with only an element type and a length.
pub fn pickle_of(storages: &[(Kind, usize)], views: &[View]) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    global(&mut out, "collections", "OrderedDict");
    out.extend(b")Rq\x00(");
    for v in views {
        text(&mut out, &v.name);
        global(&mut out, "torch._utils", "_rebuild_tensor_v2");
        out.extend(b"((");
        text(&mut out, "storage");
        global(&mut out, "torch", storages[v.storage].0.class());
        text(&mut out, &v.storage.to_string());
        text(&mut out, "cpu");
        int(&mut out, storages[v.storage].1);
        out.extend(b"tQ");
        int(&mut out, v.offset);
        tuple(&mut out, &v.shape);
        tuple(&mut out, &v.stride);
        out.push(0x89);
        global(&mut out, "collections", "OrderedDict");
        out.extend(b")RtR");
    }
    out.extend(b"u.");
    out
}

/// How an archive is damaged, or which variant of the format it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Variant {
    /// Sizes and offsets of the directory are in its ZIP64 extra fields.
    pub zip64_entries: bool,
    /// Compression method of every entry.
    pub method: u16,
    /// Flags added to those of every entry.
    pub flags: u16,
    /// Additional entries that the end records claim.
    pub more_entries: u64,
}

/// An archive of named files.
pub fn zip(files: &[(String, Vec<u8>)], variant: Variant) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    let mut directory: Vec<u8> = Vec::new();
    for (name, data) in files {
        let offset = out.len() as u64;
        let flags = (8 | variant.flags).to_le_bytes();
        let method = variant.method.to_le_bytes();
        out.extend(b"PK\x03\x04\x00\x00");
        out.extend([flags, method].concat());
        out.extend([0; 16]); // time, date, CRC and sizes: zero, since a data descriptor follows
        out.extend((name.len() as u16).to_le_bytes());
        let padding = (64 - (out.len() + 2 + name.len() + 4) % 64) % 64;
        out.extend((padding as u16 + 4).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(b"FB");
        out.extend((padding as u16).to_le_bytes());
        out.extend(vec![b'Z'; padding]);
        out.extend(data);
        out.extend(b"PK\x07\x08");
        out.extend([0; 12]);
        directory.extend(b"PK\x01\x02\x00\x00\x00\x00");
        directory.extend([flags, method].concat());
        directory.extend([0; 8]); // time, date, CRC
        let mut extra = Vec::new();
        if variant.zip64_entries {
            directory.extend([0xff; 8]);
            extra.extend([1, 0, 24, 0]);
            for n in [data.len() as u64, data.len() as u64, offset] {
                extra.extend(n.to_le_bytes());
            }
        } else {
            directory.extend((data.len() as u32).to_le_bytes());
            directory.extend((data.len() as u32).to_le_bytes());
        }
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend((extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]); // comment, disk, attributes
        directory.extend(if variant.zip64_entries { [0xff; 4] } else { (offset as u32).to_le_bytes() });
        directory.extend(name.as_bytes());
        directory.extend(extra);
    }
    let (start, size) = (out.len() as u64, directory.len() as u64);
    let count = files.len() as u64 + variant.more_entries;
    out.extend(directory);
    let end64 = out.len() as u64;
    out.extend(b"PK\x06\x06");
    out.extend(44u64.to_le_bytes());
    out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for n in [count, count, size, start] {
        out.extend(n.to_le_bytes());
    }
    out.extend(b"PK\x06\x07\x00\x00\x00\x00");
    out.extend(end64.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend([0xff; 12]);
    out.extend([0, 0]);
    out.splice(out.len() - 6..out.len() - 2, [0xff; 4]);
    out
}

/// A whole archive.
pub fn archive(storages: &[Storage], views: &[View], variant: Variant) -> Vec<u8> {
    archive_with(pickle(storages, views), storages, variant)
}

/// A whole archive with a pickle of the caller's.
pub fn archive_with(pickle: Vec<u8>, storages: &[Storage], variant: Variant) -> Vec<u8> {
    let mut files = vec![("model/data.pkl".to_owned(), pickle), ("model/byteorder".to_owned(), b"little".to_vec())];
    files.extend(storages.iter().enumerate().map(|(i, s)| (format!("model/data/{i}"), s.kind.bytes(&s.values))));
    files.push(("model/version".to_owned(), b"3\n".to_vec()));
    zip(&files, variant)
}

/// A tiny model: 1 layer, d = 32, 1 head, slots 32, 40 and 64, V = 64, every value a small multiple of 1/64.
pub fn tiny_model(kind: Kind, prefix: &str, first_layer: usize) -> (Vec<Storage>, Vec<View>) {
    let mut storages = Vec::new();
    let mut views = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        let n: usize = shape.iter().product();
        let values = (0..n).map(|i| ((i * 7 + storages.len() * 3) % 17) as f32 / 64.0 - 0.125).collect();
        views.push(View::new(&format!("{prefix}{name}"), storages.len(), 0, shape));
        storages.push(Storage { kind, values });
    };
    add("tied_modules.embed.word_embeddings.weight".into(), &[64, 32]);
    for (path, slots) in
        [("attention.query", 32), ("attention.key", 32), ("attention.value", 32), ("attention.proj", 40), ("mlp", 64)]
    {
        for side in ["key", "value"] {
            add(format!("{first_layer}.{path}.{side}_param_tokens"), &[slots, 32]);
        }
    }
    add(format!("{}.norm.weight", first_layer + 2), &[32]);
    add(format!("{}.norm.bias", first_layer + 2), &[32]);
    (storages, views)
}
