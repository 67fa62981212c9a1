//! WGSL sources with a tiny preprocessor: `#include "file"` (each file once), `#if FLAG`, `#if !FLAG`, `#else`,
//! `#endif`, `#unroll I N` … `#end` (N copies of the lines between, with 0, 1, … for `$I`: values in registers need
//! names, and not every compiler unrolls a loop over an array; N is a number or a constant), and one list of constants
//! that makes source, pipeline key, label and grid.

use crate::error::{Error, ErrorCode, Result};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

/// Every file of `shaders/` (`build.rs` lists them).
const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The flag of kernels that use subgroups.
pub const SUBGROUPS: &str = "SUBGROUPS";
/// The flag of kernels that compute with f16.
pub const HALF: &str = "HALF";

/// A value that a shader is compiled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    /// `const NAME: u32`.
    U32(u32),
    /// `const NAME: f32`.
    F32(f32),
    /// A flag for `#if`, set.
    Flag,
}

/// A kernel and the values it is compiled with: source, pipeline key and label follow from it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShaderSpec {
    /// File in `shaders/` without its ending.
    pub kernel: &'static str,
    /// Constants and flags by name.
    pub constants: Vec<(Cow<'static, str>, Constant)>,
}

impl ShaderSpec {
    /// A kernel without constants.
    pub fn new(kernel: &'static str) -> Self {
        Self { kernel, constants: Vec::new() }
    }

    /// Adds a `u32` constant.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: usize) -> Self {
        self.constants.push((name.into(), Constant::U32(value as u32)));
        self
    }

    /// Adds an `f32` constant.
    pub fn with_f32(mut self, name: &'static str, value: f64) -> Self {
        self.constants.push((name.into(), Constant::F32(value as f32)));
        self
    }

    /// Sets a flag.
    pub fn flag(mut self, name: &'static str) -> Self {
        self.constants.push((name.into(), Constant::Flag));
        self
    }

    /// Sets a flag if `on`.
    pub fn flag_if(self, name: &'static str, on: bool) -> Self {
        if on { self.flag(name) } else { self }
    }

    /// Value of a `u32` constant; 0 if there is none.
    pub fn get(&self, name: &str) -> u32 {
        let found = self.constants.iter().find_map(|(n, c)| match c {
            Constant::U32(v) if *n == name => Some(*v),
            _ => None,
        });
        found.unwrap_or(0)
    }

    /// Kernel, flags and constants in one line: validation errors and traces say what ran.
    pub fn label(&self) -> String {
        let mut label = self.kernel.to_owned();
        for (name, value) in &self.constants {
            let _ = match value {
                Constant::Flag => write!(label, " {name}"),
                Constant::U32(v) => write!(label, " {name}={v}"),
                Constant::F32(v) => write!(label, " {name}={v}"),
            };
        }
        label
    }

    /// The WGSL text.
    pub fn source(&self) -> Result<String> {
        let mut out = String::new();
        // A browser requires this directive; naga knows subgroups, but not yet how they are enabled.
        if cfg!(target_arch = "wasm32") && self.flag_is_set(SUBGROUPS) {
            out.push_str("enable subgroups;\n");
        }
        if self.flag_is_set(HALF) {
            out.push_str("enable f16;\n");
        }
        for (name, value) in &self.constants {
            let _ = match value {
                Constant::Flag => Ok(()),
                Constant::U32(v) => writeln!(out, "const {name}: u32 = {v}u;"),
                Constant::F32(v) => writeln!(out, "const {name}: f32 = {v:?}f;"),
            };
        }
        self.expand(&format!("{}.wgsl", self.kernel), &mut HashSet::new(), &mut out)?;
        Ok(out)
    }

    fn flag_is_set(&self, name: &str) -> bool {
        self.constants.iter().any(|(n, c)| *n == name && *c == Constant::Flag)
    }

    /// Repeats the text between `#unroll I N` and its `#end`; `None` if one is missing. The outermost first, so that
    /// the N of an inner one may depend on it.
    fn unroll(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut lines = text.split_inclusive('\n');
        while let Some(line) = lines.next() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("#unroll") => {}
                Some("#end") => return None,
                _ => {
                    out.push_str(line);
                    continue;
                }
            }
            let (name, count) = (format!("${}", words.next()?), words.next()?);
            let count = count.parse().unwrap_or_else(|_| self.get(count));
            let mut body = String::new();
            let mut depth = 1;
            loop {
                let line = lines.next()?;
                match line.split_whitespace().next() {
                    Some("#unroll") => depth += 1,
                    Some("#end") => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                body.push_str(line);
            }
            let copies: String = (0..count).map(|i| body.replace(&name, &i.to_string())).collect();
            out.push_str(&self.unroll(&copies)?);
        }
        Some(out)
    }

    fn expand(&self, file: &str, included: &mut HashSet<String>, out: &mut String) -> Result<()> {
        if !included.insert(file.to_owned()) {
            return Ok(());
        }
        let broken = |what: String| Error::new(ErrorCode::InvalidConfig, format!("Shader {file}: {what}."));
        let (_, text) =
            SOURCES.iter().find(|(name, _)| *name == file).ok_or_else(|| broken("there is no such file".into()))?;
        // One entry per open #if: is this branch taken?
        let mut branches: Vec<bool> = Vec::new();
        let unrolled = self.unroll(text).ok_or_else(|| broken("#unroll without #end".into()))?;
        for line in unrolled.lines() {
            let mut words = line.trim_start().splitn(2, ' ');
            let (directive, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim());
            let active = branches.iter().all(|b| *b);
            match directive {
                "#if" => branches.push(match rest.strip_prefix('!') {
                    Some(name) => !self.flag_is_set(name),
                    None => self.flag_is_set(rest),
                }),
                "#else" => {
                    let last = branches.last_mut().ok_or_else(|| broken("#else without #if".into()))?;
                    *last = !*last;
                }
                "#endif" => {
                    branches.pop().ok_or_else(|| broken("#endif without #if".into()))?;
                }
                "#include" if active => self.expand(rest.trim_matches('"'), included, out)?,
                "#include" => {}
                word if word.starts_with('#') => return Err(broken(format!("unknown directive {word}"))),
                _ if active => {
                    out.push_str(line);
                    out.push('\n');
                }
                _ => {}
            }
        }
        if branches.is_empty() { Ok(()) } else { Err(broken("#if without #endif".into())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_written_out() {
        let spec = ShaderSpec::new("test").with("N", 2);
        let unroll = |text| spec.unroll(text);
        let text = "a\n  #unroll I N\n  #unroll J 3\n  c$I_$J;\n  #end\n#end\nb\n";
        let got: Vec<_> = unroll(text).expect("text").split_whitespace().map(str::to_owned).collect();
        assert_eq!(got, ["a", "c0_0;", "c0_1;", "c0_2;", "c1_0;", "c1_1;", "c1_2;", "b"]);
        assert_eq!(unroll("#unroll I 2\na\n"), None);
        assert_eq!(unroll("#unroll I MISSING\na\n#end\n").as_deref(), Some(""));
        assert_eq!(unroll("a\n#end\n"), None);
        assert_eq!(unroll("#if A\n#endif\n").as_deref(), Some("#if A\n#endif\n"));
        // How often the inner one repeats may depend on the outer one.
        let spec = ShaderSpec::new("test").with("N_0", 1).with("N_1", 2);
        let got = spec.unroll("#unroll I 2\n#unroll J N_$I\nc$I_$J\n#end\n#end\n");
        assert_eq!(got.as_deref(), Some("c0_0\nc1_0\nc1_1\n"));
    }

    #[test]
    fn includes_once_and_branches() {
        let spec = ShaderSpec::new("keys").with("GROUPS", 5).with_f32("EPSILON", 1e-5).flag("Q4").flag("LAYERNORM");
        let source = spec.source().expect("source");
        assert!(source.starts_with("const GROUPS: u32 = 5u;\nconst EPSILON: f32 = 1e-5f;\n"), "{source}");
        assert_eq!(source.matches("struct Step").count(), 1);
        assert!(source.contains("even_nibbles") && !source.contains("halves") && !source.contains("fn combined"));
        assert_eq!(spec.label(), "keys GROUPS=5 EPSILON=0.00001 Q4 LAYERNORM");
    }

    #[test]
    fn an_unknown_kernel_is_an_error() {
        assert!(ShaderSpec::new("nonsense").source().is_err());
    }
}
