//! What a state dict may name and call, and the tensors that it holds in the end.

use super::machine::{Global, Machine, Node, Value};
use super::tensor::{Dtype, TorchTensor};
use crate::error::{Error, Result};
use std::collections::HashSet;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

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

impl Machine<'_> {
    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<()> {
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

    pub(super) fn append(&mut self, _items: &[Value]) -> Result<()> {
        match self.top()? {
            // No list of a state dict matters, so their items are dropped.
            Value::Node(i) if matches!(self.arena.get(i), Some(Node::List)) => Ok(()),
            _ => Err(self.error("something is appended to what is no list")),
        }
    }

    pub(super) fn set_items(&mut self, items: &[Value]) -> Result<()> {
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

    pub(super) fn reduce(&mut self) -> Result<()> {
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

    /// BUILD sets attributes; the only one is an OrderedDict's `_metadata`, which holds nothing useful.
    pub(super) fn build(&mut self) -> Result<()> {
        self.pop()?;
        match self.top()? {
            Value::Node(i) if matches!(self.arena.get(i), Some(Node::Dict(_))) => Ok(()),
            _ => Err(self.error("attributes are set on what is no dict")),
        }
    }

    /// BINPERSID with `("storage", type, key, location, elements)`.
    pub(super) fn storage(&mut self) -> Result<()> {
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

    pub(super) fn state_dict(&mut self) -> Result<Vec<TorchTensor>> {
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
