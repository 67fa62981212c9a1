//! The stack machine: every opcode that a state dict needs, and no other.

use super::tensor::{Dtype, malformed};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// Most values that a pickle may make; the largest published model's makes about 10,000.
const MAX_VALUES: usize = 1 << 18;
/// Most containers that may be open at once.
const MAX_DEPTH: usize = 64;
/// Longest key of a tensor or storage, in bytes. A storage's key may be shared by many tensors.
const MAX_KEY_LEN: usize = 256;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    Storage(Result<Dtype, &'static str>),
}

#[derive(Clone, Copy)]
pub(super) enum Value {
    /// None, a boolean, a float, or an object whose contents do not matter.
    Opaque,
    Int(i64),
    /// Start and length in the input.
    Str(usize, usize),
    Global(Global),
    /// Index into the arena.
    Node(usize),
}

pub(super) enum Node {
    Tuple(Vec<Value>),
    List,
    Dict(Vec<(Value, Value)>),
    Storage { dtype: Result<Dtype, &'static str>, key: Value, len: u64 },
    Tensor { storage: usize, offset: u64, shape: Vec<u64>, stride: Vec<u64> },
}

/// The stack machine.
pub(super) struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    pub(super) arena: Vec<Node>,
    /// Values ever pushed: bounds every container too.
    made: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), arena: vec![], made: 0 }
    }

    pub(super) fn error(&self, what: impl std::fmt::Display) -> Error {
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

    pub(super) fn push(&mut self, value: Value) -> Result<()> {
        self.made += 1;
        if self.made > MAX_VALUES {
            return Err(self.error("it makes too many values"));
        }
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push_node(&mut self, node: Node) -> Result<()> {
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

    pub(super) fn pop(&mut self) -> Result<Value> {
        // Values under the last mark belong to a container that is still being filled.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.error("the stack is empty"));
        }
        self.stack.pop().ok_or_else(|| self.error("the stack is empty"))
    }

    pub(super) fn top(&self) -> Result<Value> {
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

    pub(super) fn text(&self, value: Value) -> Option<&'a str> {
        let Value::Str(start, len) = value else { return None };
        std::str::from_utf8(self.data.get(start..start + len)?).ok()
    }

    /// A string that may be a key. Keys are examined again and again, so their length is limited first.
    pub(super) fn key(&self, value: Value) -> Result<&'a str> {
        match value {
            Value::Str(_, len) if len > MAX_KEY_LEN => Err(self.error("a key is too long")),
            _ => self.text(value).ok_or_else(|| self.error("a key is no string")),
        }
    }

    pub(super) fn tuple(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::Node(i) => match self.arena.get(i)? {
                Node::Tuple(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// Executes one opcode; false after STOP.
    pub(super) fn step(&mut self) -> Result<bool> {
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
}
