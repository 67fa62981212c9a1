//! What to say of stored models when space runs out, and which of other versions' models a new one replaces. (What is
//! stored is listed and deleted by `www/lib/store`, which needs no engine.)

use super::cache::NOT_KEPT;
use super::{ModelKey, ModelRecord};
use serde::Deserialize;

/// A record of another version of this program, as far as all of them agree.
#[derive(Clone, Debug, Deserialize)]
pub struct Foreign {
    key: ForeignKey,
}

#[derive(Clone, Debug, Deserialize)]
struct ForeignKey {
    #[serde(default)]
    endpoint: String,
    id: String,
    #[serde(default)]
    quantization: String,
}

impl Foreign {
    /// Reads one, with or without a seal.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(&text[text.find('{')?..]).ok()
    }

    /// True if it is the same model, of any version.
    pub fn is_replaced_by(&self, key: &ModelKey) -> bool {
        let ForeignKey { endpoint, id, quantization } = &self.key;
        (endpoint, id, quantization.as_str()) == (&key.endpoint, &key.id, key.quantization.as_str())
    }
}

/// What to say where `needed` bytes do not fit into the `free` ones: which models, the least recently used first, could
/// be deleted for that.
pub fn advice(needed: u64, free: u64, models: &[ModelRecord], keep: &ModelKey) -> String {
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    let mut old: Vec<_> = models.iter().filter(|m| m.key != *keep && m.bytes > 0).collect();
    old.sort_by(|a, b| a.last_used.total_cmp(&b.last_used));
    let mut room = free;
    let mut names = Vec::new();
    for m in old {
        if room >= needed {
            break;
        }
        room += m.bytes;
        names.push(format!("{} {} ({} MB)", m.key.id, m.key.quantization.as_str(), mb(m.bytes)));
    }
    let what = match names.as_slice() {
        [] => "Free some space on the disk".into(),
        names => format!("Delete what was not used for long, {}", names.join(", ")),
    };
    format!("{NOT_KEPT}: it takes {} MB, and the browser allows {} MB more. {what}, to keep it.", mb(needed), mb(free))
}

#[cfg(test)]
mod tests {
    use super::super::memory::record;
    use super::*;
    use crate::checkpoint::layout::Quantization;

    #[test]
    fn what_another_version_stored_of_a_model_is_replaced() {
        let json = r#"{"key":{"endpoint":"https://hub.example","id":"o/a","commit":"c1","quantization":"q4"},
            "requested":"v1","config":{},"is_converted":true,"units":3,"plan":"","bytes":70,"complete":true,"last_used":3.0}"#;
        let sealed = format!("{}{json}", "0".repeat(64));
        for (text, what) in [(json, "a record of format 2"), (&sealed, "one of a later format")] {
            let old = Foreign::parse(text).expect(what);
            assert!(old.is_replaced_by(&record("o/a", 1).key) && !old.is_replaced_by(&record("o/b", 1).key), "{what}");
        }
        for other in ["", "plain text", "{}", r#"{"key":{}}"#, "{"] {
            assert!(Foreign::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn advice_names_what_was_not_used_for_long() {
        let mut models = [record("o/a", 1), record("o/a", 1), record("o/b", 1)];
        models[1].key.commit = "b".repeat(40);
        (models[0].complete, models[0].last_used, models[0].bytes) = (true, 5.0, 30_000_000);
        (models[1].last_used, models[2].last_used, models[2].bytes) = (9.0, 1.0, 20_000_000);
        models[0].key.quantization = Quantization::Q4;
        let text = advice(60_000_000, 15_000_000, &models, &models[1].key);
        assert!(text.contains("60 MB") && text.contains("15 MB"), "{text}");
        assert!(text.contains("o/b q4 (20 MB), o/a q4 (30 MB)"), "{text}");
        assert!(advice(9, 1, &[], &models[0].key).contains("disk"));
    }
}
