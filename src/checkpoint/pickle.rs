//! Reads the pickled state dict of `torch.save` without executing anything.
//!
//! A pickle is a program for a stack machine. This one knows only what a state dict needs: containers,
//! numbers, strings, tensors and their storages. Every other opcode or global is refused by name.
//! Values live in one flat arena and are never walked recursively, and every step consumes input, so time
//! and memory are linear in the input, which is limited too.

use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Longest pickle that is read, in bytes; the largest published model's has about 50 kB.
pub const MAX_PICKLE_LEN: u64 = 8 << 20;
/// Most values that a pickle may make; the largest published model's makes about 10,000.
const MAX_VALUES: usize = 1 << 18;
/// Most containers that may be open at once.
const MAX_DEPTH: usize = 64;
/// Longest key of a tensor or storage, in bytes. A storage's key may be shared by many tensors.
const MAX_KEY_LEN: usize = 256;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// Element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an IEEE single.
    Bf16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Storages that a state dict may hold beside the model's own: buffers of masks, positions and counters.
const OTHER_STORAGES: [&str; 10] = [
    "BoolStorage",
    "ByteStorage",
    "CharStorage",
    "ShortStorage",
    "IntStorage",
    "LongStorage",
    "DoubleStorage",
    "ComplexFloatStorage",
    "ComplexDoubleStorage",
    "UntypedStorage",
];

/// A tensor of the state dict: a view of a storage, nothing checked against the archive yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorchTensor {
    /// Key in the state dict.
    pub name: String,
    /// Element type, or PyTorch's name of a storage that no tensor of a model is in: masks and positions are integers.
    pub dtype: Result<Dtype, &'static str>,
    /// Extents, outermost first.
    pub shape: Vec<u64>,
    /// Elements from one index to the next, per dimension.
    pub stride: Vec<u64>,
    /// Name of the storage: the entry `data/<key>` of the archive.
    pub storage_key: String,
    /// Elements of the storage.
    pub storage_len: u64,
    /// First element of the tensor in its storage.
    pub storage_offset: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    Storage(Result<Dtype, &'static str>),
}

#[derive(Clone, Copy)]
enum Value {
    /// None, a boolean, a float, or an object whose contents do not matter.
    Opaque,
    Int(i64),
    /// Start and length in the input.
    Str(usize, usize),
    Global(Global),
    /// Index into the arena.
    Node(usize),
}

enum Node {
    Tuple(Vec<Value>),
    List,
    Dict(Vec<(Value, Value)>),
    Storage { dtype: Result<Dtype, &'static str>, key: Value, len: u64 },
    Tensor { storage: usize, offset: u64, shape: Vec<u64>, stride: Vec<u64> },
}

/// Reads a state dict: the tensors in the order of the dict. Entries that are no tensors are left out.
pub fn parse_state_dict(data: &[u8]) -> Result<Vec<TorchTensor>> {
    if data.len() as u64 > MAX_PICKLE_LEN {
        return Err(malformed(0, "it is too long"));
    }
    let mut machine =
        Machine { data, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), arena: vec![], made: 0 };
    while machine.step()? {}
    machine.state_dict()
}

fn malformed(at: usize, what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("The checkpoint's data.pkl is no state dict (at byte {at}: {what})."))
        .hint("Save it with torch.save(model.state_dict(), …).")
}

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    arena: Vec<Node>,
    /// Values ever pushed: bounds every container too.
    made: usize,
}

impl<'a> Machine<'a> {
    fn error(&self, what: impl std::fmt::Display) -> Error {
        malformed(self.at, what)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let data = self.data;
        let taken = self.at.checked_add(len).and_then(|end| data.get(self.at..end));
        let taken = taken.ok_or_else(|| self.error("it is truncated"))?;
        self.at += len;
        Ok(taken)
    }

    /// A little-endian number of at most 8 bytes.
    fn number(&mut self, len: usize) -> Result<u64> {
        Ok(self.take(len)?.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte)))
    }

    fn push(&mut self, value: Value) -> Result<()> {
        self.made += 1;
        if self.made > MAX_VALUES {
            return Err(self.error("it makes too many values"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Result<()> {
        self.arena.push(node);
        self.push(Value::Node(self.arena.len() - 1))
    }

    fn push_str(&mut self, len: u64) -> Result<()> {
        let start = self.at;
        let len = usize::try_from(len).map_err(|_| self.error("it is truncated"))?;
        if std::str::from_utf8(self.take(len)?).is_err() {
            return Err(self.error("a string is not UTF-8"));
        }
        self.push(Value::Str(start, len))
    }

    fn pop(&mut self) -> Result<Value> {
        // Values under the last mark belong to a container that is still being filled.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.error("the stack is empty"));
        }
        self.stack.pop().ok_or_else(|| self.error("the stack is empty"))
    }

    fn top(&self) -> Result<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(|| self.error("the stack is empty"))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().ok_or_else(|| self.error("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn put(&mut self, key: u32) -> Result<()> {
        let value = self.top()?;
        if self.memo.len() >= MAX_VALUES {
            return Err(self.error("it remembers too many values"));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    fn get(&mut self, key: u32) -> Result<()> {
        let value = self.memo.get(&key).copied();
        let value = value.ok_or_else(|| self.error(format!("value {key} was never remembered")))?;
        self.push(value)
    }

    fn text(&self, value: Value) -> Option<&'a str> {
        let Value::Str(start, len) = value else { return None };
        std::str::from_utf8(self.data.get(start..start + len)?).ok()
    }

    /// A string that may be a key. Keys are looked at again and again, and so must be short before they are.
    fn key(&self, value: Value) -> Result<&'a str> {
        match value {
            Value::Str(_, len) if len > MAX_KEY_LEN => Err(self.error("a key is too long")),
            _ => self.text(value).ok_or_else(|| self.error("a key is no string")),
        }
    }

    fn tuple(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::Node(i) => match self.arena.get(i)? {
                Node::Tuple(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// Executes one opcode; false after STOP.
    fn step(&mut self) -> Result<bool> {
        let opcode = self.take(1)?[0];
        match opcode {
            0x80 => {
                let protocol = self.number(1)?;
                if !(2..=5).contains(&protocol) {
                    return Err(self.error(format!("pickle protocol {protocol} is not known")));
                }
            }
            // FRAME only helps readers to prefetch.
            0x95 => self.take(8).map(|_| ())?,
            b'.' => return Ok(false),
            b'(' => {
                if self.marks.len() >= MAX_DEPTH {
                    return Err(self.error("containers are nested too deeply"));
                }
                self.marks.push(self.stack.len());
            }
            b'N' | 0x88 | 0x89 => self.push(Value::Opaque)?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Opaque)?;
            }
            b'J' => {
                let n = self.number(4)? as u32 as i32;
                self.push(Value::Int(n.into()))?;
            }
            b'K' => self.push_int(1)?,
            b'M' => self.push_int(2)?,
            0x8a => self.long()?,
            b'X' => self.sized_str(4)?,
            0x8c => self.sized_str(1)?,
            0x8d => self.sized_str(8)?,
            b'q' => self.number(1).and_then(|key| self.put(key as u32))?,
            b'r' => self.number(4).and_then(|key| self.put(key as u32))?,
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => self.number(1).and_then(|key| self.get(key as u32))?,
            b'j' => self.number(4).and_then(|key| self.get(key as u32))?,
            b'}' => self.push_node(Node::Dict(vec![]))?,
            b']' => self.push_node(Node::List)?,
            b')' => self.push_node(Node::Tuple(vec![]))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push_node(Node::Tuple(items))?;
            }
            0x85..=0x87 => {
                let mut items = (0..=opcode - 0x85).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
                items.reverse();
                self.push_node(Node::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.text(module), self.text(name)) {
                    (Some(module), Some(name)) => self.global(module, name)?,
                    _ => return Err(self.error("a global's name is no string")),
                }
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => self.storage()?,
            _ => {
                return Err(Error::unsupported(format!(
                    "The checkpoint's data.pkl uses pickle opcode 0x{opcode:02x} (at byte {}), which no state dict needs.",
                    self.at - 1
                ))
                .hint("Save it with torch.save(model.state_dict(), …)."));
            }
        }
        Ok(true)
    }

    fn push_int(&mut self, len: usize) -> Result<()> {
        let n = self.number(len)?;
        self.push(Value::Int(n as i64))
    }

    /// LONG1: a little-endian two's complement number of any length; 8 bytes are enough here.
    fn long(&mut self) -> Result<()> {
        let len = self.number(1)? as usize;
        if len > 8 {
            return Err(self.error("a number has more than 64 bits"));
        }
        let unsigned = self.number(len)?;
        let shift = 64 - 8 * len as u32;
        let n = if len == 0 { 0 } else { (unsigned << shift) as i64 >> shift };
        self.push(Value::Int(n))
    }

    fn sized_str(&mut self, len: usize) -> Result<()> {
        let len = self.number(len)?;
        self.push_str(len)
    }

    fn line(&mut self) -> Result<&'a str> {
        let data = self.data;
        let rest = &data[self.at..];
        let len = rest.iter().take(256).position(|&byte| byte == b'\n');
        let len = len.ok_or_else(|| self.error("a global's name has no end"))?;
        self.at += len + 1;
        std::str::from_utf8(&rest[..len]).map_err(|e| self.error("a global's name is not UTF-8").caused_by(e))
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch", "FloatStorage") => Global::Storage(Ok(Dtype::F32)),
            ("torch", "HalfStorage") => Global::Storage(Ok(Dtype::F16)),
            ("torch", "BFloat16Storage") => Global::Storage(Ok(Dtype::Bf16)),
            ("torch", other) if let Some(known) = OTHER_STORAGES.iter().find(|known| **known == other) => {
                Global::Storage(Err(known))
            }
            _ => {
                let full: String = format!("{module}.{name}").escape_debug().take(120).collect();
                return Err(Error::unsupported(format!(
                    "The checkpoint's data.pkl asks for {full}, which is not part of a plain state dict; nothing was executed."
                ))
                .hint("Save it with torch.save(model.state_dict(), …) in float32, float16 or bfloat16."));
            }
        };
        self.push(Value::Global(global))
    }

    fn append(&mut self, _items: &[Value]) -> Result<()> {
        match self.top()? {
            // No list of a state dict matters, so their items are dropped.
            Value::Node(i) if matches!(self.arena.get(i), Some(Node::List)) => Ok(()),
            _ => Err(self.error("something is appended to what is no list")),
        }
    }

    fn set_items(&mut self, items: &[Value]) -> Result<()> {
        let dict = match self.top()? {
            Value::Node(i) => self.arena.get_mut(i),
            _ => None,
        };
        match dict {
            Some(Node::Dict(dict)) if items.len().is_multiple_of(2) => {
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            _ => Err(self.error("items are set in what is no dict")),
        }
    }

    fn reduce(&mut self) -> Result<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Some(arguments) = self.tuple(arguments) else {
            return Err(self.error("a call's arguments are no tuple"));
        };
        match callable {
            Value::Global(Global::OrderedDict) if arguments.is_empty() => self.push_node(Node::Dict(vec![])),
            Value::Global(Global::RebuildTensor) => {
                let node = self.rebuild_tensor(arguments);
                let node = node.ok_or_else(|| self.error("a tensor's arguments make no sense"))?;
                self.push_node(node)
            }
            Value::Global(Global::Storage(Err(name))) => Err(self.error(format!("torch.{name} is called"))),
            _ => Err(self.error("something is called that cannot be")),
        }
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata])`
    fn rebuild_tensor(&self, arguments: &[Value]) -> Option<Node> {
        if !(6..=7).contains(&arguments.len()) {
            return None;
        }
        let storage = match arguments[0] {
            Value::Node(i) if matches!(self.arena.get(i), Some(Node::Storage { .. })) => i,
            _ => return None,
        };
        let offset = count(arguments[1])?;
        let extents = |value| -> Option<Vec<u64>> {
            let items = self.tuple(value).filter(|items| items.len() <= MAX_RANK)?;
            items.iter().map(|&item| count(item)).collect()
        };
        let (shape, stride) = (extents(arguments[2])?, extents(arguments[3])?);
        (shape.len() == stride.len()).then_some(Node::Tensor { storage, offset, shape, stride })
    }

    /// BUILD sets attributes; the only one is an OrderedDict's `_metadata`, which tells nothing of use.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        match self.top()? {
            Value::Node(i) if matches!(self.arena.get(i), Some(Node::Dict(_))) => Ok(()),
            _ => Err(self.error("attributes are set on what is no dict")),
        }
    }

    /// BINPERSID with `("storage", type, key, location, elements)`.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let node = match self.tuple(id) {
            Some(&[kind, Value::Global(Global::Storage(dtype)), key, _, len]) => match (self.key(kind)?, count(len)) {
                ("storage", Some(len)) => self.key(key).map(|_| Some(Node::Storage { dtype, key, len }))?,
                _ => None,
            },
            _ => None,
        };
        let node = node.ok_or_else(|| self.error("a persistent id names no storage"))?;
        self.push_node(node)
    }

    fn state_dict(&mut self) -> Result<Vec<TorchTensor>> {
        let items = match self.pop()? {
            Value::Node(i) => match &self.arena[i] {
                Node::Dict(items) => items,
                _ => return Err(self.error("the result is no dict")),
            },
            _ => return Err(self.error("the result is no dict")),
        };
        let mut seen = HashSet::new();
        let mut tensors = Vec::new();
        for &(key, value) in items {
            let Value::Node(i) = value else { continue };
            let Node::Tensor { storage, offset, shape, stride } = &self.arena[i] else { continue };
            let Node::Storage { dtype, key: storage_key, len } = self.arena[*storage] else { continue };
            let (name, storage_key) = (self.key(key)?, self.key(storage_key)?);
            if !seen.insert(name) {
                return Err(self.error(format!("key {name:?} is there twice")));
            }
            tensors.push(TorchTensor {
                name: name.to_owned(),
                dtype,
                shape: shape.clone(),
                stride: stride.clone(),
                storage_key: storage_key.to_owned(),
                storage_len: len,
                storage_offset: *offset,
            });
        }
        Ok(tensors)
    }
}

fn count(value: Value) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(n).ok(),
        _ => None,
    }
}
