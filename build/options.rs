//! Generates Rust and WGSL from the tables of generate and train options (`www/lib/api/generate-options.js`,
//! `train-options.js`), so that a new option needs no entry anywhere else.
//!
//! From the rows of a room (`sampling`, `text`, `training`) it generates a struct with a field for each, with serde's
//! `Deserialize`, `Default` and `check`; from those of `sampling`, also the uniform `Sampling` of the shaders, with a
//! field for every number in it. Helpers that the generated text calls are in `src/options.rs`.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt::{self, Write};

/// JavaScript's largest safe integer; a row that ends here means "as large as possible".
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Rows in the order of the file.
pub struct Table(Vec<(String, Row)>);

/// A row: the columns of `Option` in `www/lib/api/options.js`. A misspelt one breaks the build.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    r#type: Type,
    #[serde(default)]
    default: Value,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    above_min: bool,
    #[serde(default)]
    below_max: bool,
    #[serde(default)]
    is_wide: bool,
    #[serde(default)]
    values: Vec<String>,
    fields: Option<Table>,
    room: Option<String>,
    about: String,
    doc: Option<String>,
    #[serde(rename = "leftOut")]
    _left_out: Option<String>,
    #[serde(rename = "step")]
    _step: Option<(f64, String)>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Type {
    Integer,
    Number,
    Boolean,
    Enum,
    Texts,
    Biases,
    Object,
    Signal,
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Table;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rows by the names of options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = map.next_entry()? {
                    rows.push(row);
                }
                Ok(Table(rows))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// A struct to be generated.
pub struct Made<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is, in a sentence.
    pub about: &'a str,
    /// Rust's type of an integer that is not wide.
    pub integer: &'a str,
    /// Lines for fields that are no options.
    pub extra: &'a str,
}

impl Table {
    /// The rows of a JavaScript file whose `ROWS` are JSON.
    ///
    /// # Panics
    /// If it is written in another form: what cannot be read cannot be built.
    pub fn read(file: &str) -> Self {
        let (_, rows) = file.split_once("export const ROWS = ").expect("the table of options exports ROWS");
        let mut rows = serde_json::Deserializer::from_str(rows).into_iter();
        rows.next().expect("rows").unwrap_or_else(|e| panic!("the table of options, counted from its rows: {e}"))
    }

    /// The rows of a room.
    pub fn room(self, room: &str) -> Self {
        Self(self.0.into_iter().filter(|(_, row)| row.room.as_deref() == Some(room)).collect())
    }

    /// The struct in Rust, with what reads and checks it.
    pub fn rust(&self, made: &Made<'_>) -> String {
        let mut out = String::new();
        self.write_struct(&mut out, made, "");
        out
    }

    /// `prefix`: the path of an object's fields in messages, as `dry.`.
    fn write_struct(&self, out: &mut String, made: &Made<'_>, prefix: &str) {
        let (mut fields, mut defaults, mut checks, mut before) = Default::default();
        for (name, row) in &self.0 {
            let field = Field { name, row, made };
            field.write(&mut fields, &mut defaults, &mut checks, prefix);
            field.write_needs(&mut before, prefix);
        }
        let extra_defaults: String = extra_fields(made.extra).map(|f| format!("{f}: Default::default(), ")).collect();
        let (name, about, extra) = (made.name, made.about, made.extra);
        let _ = write!(
            out,
            "{before}
/// {about}
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = \"camelCase\", default)]
pub struct {name} {{
{fields}{extra}}}

impl Default for {name} {{
    fn default() -> Self {{
        Self {{ {defaults}{extra_defaults} }}
    }}
}}

impl {name} {{
    /// Checks the range of every option; NaN is in none.
    #[allow(clippy::unnecessary_wraps, reason = \"some structs have nothing to check\")]
    pub(crate) fn check(&self) -> crate::error::Result<()> {{
{checks}        Ok(())
    }}
}}
"
        );
    }

    /// What the shaders get: the struct in WGSL, and the Rust that fills it, `words`. Values of two words come first,
    /// for their alignment.
    pub fn uniform(&self, own: &[(&str, &str)]) -> (String, String) {
        let mut fields = Vec::new();
        self.numbers("", "options", &mut fields);
        let mut wgsl = String::from("// From www/lib/api/generate-options.js, by build.rs.\nstruct Sampling {\n");
        let mut words = Vec::new();
        for field in fields.iter().filter(|f| f.words.len() == 2) {
            let _ = write!(wgsl, "    // {}\n    {}: vec2<u32>,\n", field.about, field.name);
            words.extend(field.words.iter().cloned());
        }
        for (name, about) in own {
            let _ = write!(wgsl, "    // {about}\n    {name}: u32,\n");
            words.push((*name).to_owned());
        }
        for field in fields.iter().filter(|f| f.words.len() == 1) {
            let _ = write!(wgsl, "    // {}\n    {}: {},\n", field.about, field.name, field.ty);
            words.extend(field.words.iter().cloned());
        }
        wgsl.push_str("}\n");
        // Uniform buffers are bound in steps of 16 bytes.
        words.resize(words.len().next_multiple_of(4), "0".to_owned());
        let parameters: String = own.iter().map(|(name, _)| format!(", {name}: u32")).collect();
        let rust = format!(
            "/// Words of the struct `Sampling` in WGSL.
const WORDS: usize = {};

fn words(options: &SamplingOptions{parameters}) -> [u32; WORDS] {{
    [{}]
}}
",
            words.len(),
            words.join(", ")
        );
        (wgsl, rust)
    }

    fn numbers(&self, prefix: &str, path: &str, out: &mut Vec<Parameter>) {
        for (name, row) in &self.0 {
            let (field, about) = (snake(name), row.about.clone());
            let path = format!("{path}.{field}");
            let name = format!("{prefix}{field}");
            let (ty, words) = match row.r#type {
                Type::Number => ("f32", vec![format!("{path}.to_bits()")]),
                Type::Integer if row.is_wide => {
                    ("vec2<u32>", vec![format!("{path} as u32"), format!("({path} >> 32) as u32")])
                }
                Type::Integer => ("u32", vec![path]),
                Type::Boolean => ("u32", vec![format!("u32::from({path})")]),
                Type::Enum => ("u32", vec![format!("{path} as u32")]),
                Type::Object => {
                    row.fields.as_ref().expect("fields").numbers(&format!("{name}_"), &path, out);
                    continue;
                }
                // They need buffers of their own.
                Type::Texts | Type::Biases | Type::Signal => continue,
            };
            out.push(Parameter { name, ty, about, words });
        }
    }
}

/// A field of the uniform.
struct Parameter {
    name: String,
    ty: &'static str,
    about: String,
    words: Vec<String>,
}

struct Field<'a> {
    name: &'a str,
    row: &'a Row,
    made: &'a Made<'a>,
}

impl Field<'_> {
    /// Rust's type.
    fn ty(&self) -> String {
        match self.row.r#type {
            Type::Integer if self.row.is_wide => "u64".into(),
            Type::Integer => self.made.integer.into(),
            Type::Number => "f32".into(),
            Type::Boolean => "bool".into(),
            Type::Enum | Type::Object => pascal(self.name),
            Type::Texts => "Vec<String>".into(),
            Type::Biases => "Vec<(u32, f32)>".into(),
            Type::Signal => panic!("{}: a signal stays in JavaScript and has no room", self.name),
        }
    }

    fn default(&self) -> String {
        let default = &self.row.default;
        match self.row.r#type {
            _ if default.is_null() => "Default::default()".into(),
            Type::Number => format!("{:?}", default.as_f64().expect("a number as default")),
            Type::Integer | Type::Boolean => default.to_string(),
            Type::Enum => format!("{}::{}", self.ty(), pascal(default.as_str().expect("a text as default"))),
            _ => {
                let list = default.as_array().map(|texts| texts.iter().map(|t| format!("{t}.to_owned()")).collect());
                let list: Vec<String> = list.unwrap_or_default();
                if list.is_empty() { "Vec::new()".into() } else { format!("vec![{}]", list.join(", ")) }
            }
        }
    }

    fn range(&self) -> String {
        let Row { min, max, above_min, below_max, .. } = self.row;
        let min = match min.expect("a number has a least value") {
            // Integers have no sign here.
            0.0 if self.row.r#type == Type::Integer => "f64::NEG_INFINITY".into(),
            min => format!("{min:?}"),
        };
        // What is not wide is as large as can be where it is larger than its type.
        let max = max.filter(|max| self.row.is_wide || *max < MAX_SAFE_INTEGER);
        let max = max.map_or("f64::INFINITY".into(), |max| format!("{max:?}"));
        format!("crate::options::Range {{ min: {min}, max: {max}, above_min: {above_min}, below_max: {below_max} }}")
    }

    fn range_name(&self, prefix: &str) -> String {
        snake(&format!("{prefix}{}", self.name).replace('.', "_")).to_uppercase()
    }

    /// What its field, its default and its check are.
    fn write(&self, fields: &mut String, defaults: &mut String, checks: &mut String, prefix: &str) {
        let (field, ty) = (snake(self.name), self.ty());
        let path = format!("{prefix}{}", self.name);
        let range = self.range_name(prefix);
        let read = match self.row.r#type {
            Type::Number => format!("    #[serde(deserialize_with = \"read_{}\")]\n", range.to_lowercase()),
            Type::Integer => format!("    #[serde(deserialize_with = \"crate::options::read_{ty}\")]\n"),
            Type::Biases => "    #[serde(deserialize_with = \"crate::options::read_biases\")]\n".into(),
            _ => String::new(),
        };
        let about = self.row.doc.clone().unwrap_or_else(|| capital(&self.row.about) + ".");
        let about = about.replace('[', "\\[");
        let _ = write!(fields, "    /// {about}\n{read}    pub {field}: {ty},\n");
        let _ = write!(defaults, "{field}: {}, ", self.default());
        let _ = match self.row.r#type {
            Type::Number => writeln!(checks, "        {range}.check(\"{path}\", self.{field}, self.{field}.into())?;"),
            // 0 is what was left out.
            Type::Integer if self.row.default.is_null() && self.row.min > Some(0.0) => writeln!(
                checks,
                "        if self.{field} != 0 {{ {range}.check(\"{path}\", self.{field}, self.{field} as f64)?; }}"
            ),
            Type::Integer => writeln!(checks, "        {range}.check(\"{path}\", self.{field}, self.{field} as f64)?;"),
            Type::Texts => writeln!(checks, "        crate::options::check_texts(\"{path}\", &self.{field})?;"),
            Type::Biases => writeln!(checks, "        crate::options::check_biases(\"{path}\", &self.{field})?;"),
            Type::Object => writeln!(checks, "        self.{field}.check()?;"),
            Type::Boolean | Type::Enum | Type::Signal => Ok(()),
        };
    }

    /// What precedes the struct: its range, its enum, its own struct.
    fn write_needs(&self, out: &mut String, prefix: &str) {
        let range = self.range_name(prefix);
        match self.row.r#type {
            Type::Integer => {
                let _ = writeln!(out, "const {range}: crate::options::Range = {};", self.range());
            }
            Type::Number => {
                let _ = write!(
                    out,
                    "const {range}: crate::options::Range = {};
fn read_{}<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<f32, D::Error> {{
    crate::options::read_f32(from, &{range})
}}
",
                    self.range(),
                    range.to_lowercase()
                );
            }
            Type::Enum => {
                let values = self.row.values.iter().enumerate().map(|(i, value)| {
                    let is_default = self.row.default.as_str().map_or(i == 0, |default| default == value);
                    let default = if is_default { "    #[default]\n" } else { "" };
                    format!("    /// `{value}`.\n{default}    #[serde(rename = {value:?})]\n    {},\n", pascal(value))
                });
                let _ = write!(
                    out,
                    "/// {}.\n#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]\npub enum {} {{\n{}}}\n",
                    capital(&self.row.about),
                    self.ty(),
                    values.collect::<String>()
                );
            }
            Type::Object => {
                let (name, about) = (self.ty(), format!("{}.", capital(&self.row.about)));
                let made = Made { name: &name, about: &about, integer: self.made.integer, extra: "" };
                let fields = self.row.fields.as_ref().expect("an object has fields");
                fields.write_struct(out, &made, &format!("{prefix}{}.", self.name));
            }
            Type::Boolean | Type::Texts | Type::Biases | Type::Signal => {}
        }
    }
}

/// Names of the fields in lines of Rust.
fn extra_fields(lines: &str) -> impl Iterator<Item = &str> {
    lines.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':').map(|(name, _)| name))
}

/// `topK` as `top_k`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// `overflow` as `Overflow`, `two-words` as `TwoWords`.
fn pascal(name: &str) -> String {
    name.split(['-', '_']).map(capital).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
