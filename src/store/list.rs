//! What is stored, as people see it: one entry for a model of one version and precision, whichever version of this program
//! stored it.

use super::cache::NOT_KEPT;
use super::{ModelKey, ModelRecord};
use serde::{Deserialize, Serialize};

/// An entry of the contract's list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `owner/name`, or the folder's address.
    pub id: String,
    /// The commit, or a hash that names the contents.
    pub revision: String,
    /// Precision as stored.
    pub quantization: String,
    /// Bytes stored.
    pub bytes: u64,
    /// It can be loaded without a network.
    pub complete: bool,
    /// Milliseconds since 1970.
    pub last_used: f64,
    /// Address of the hub; empty for a folder.
    #[serde(skip)]
    pub endpoint: String,
}

impl From<&ModelRecord> for Entry {
    fn from(model: &ModelRecord) -> Self {
        Self {
            id: model.key.id.clone(),
            revision: model.key.commit.clone(),
            quantization: model.key.quantization.as_str().to_owned(),
            bytes: model.bytes,
            complete: model.complete,
            last_used: model.last_used,
            endpoint: model.key.endpoint.clone(),
        }
    }
}

impl Entry {
    /// The entry of a model whose record is damaged: `bytes` of it are there.
    pub fn unreadable(key: &ModelKey, bytes: u64) -> Self {
        Self {
            id: key.id.clone(),
            revision: key.commit.clone(),
            quantization: key.quantization.as_str().to_owned(),
            bytes,
            complete: false,
            last_used: 0.0,
            endpoint: key.endpoint.clone(),
        }
    }
}

/// A record of another version of this program, as far as all of them agree.
#[derive(Clone, Debug, Deserialize)]
pub struct Foreign {
    key: ForeignKey,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    last_used: f64,
    /// The one name that older versions keep.
    #[serde(default)]
    requested: String,
}

#[derive(Clone, Debug, Deserialize)]
struct ForeignKey {
    #[serde(default)]
    endpoint: String,
    id: String,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    quantization: String,
}

impl Foreign {
    /// Reads one, with or without a seal.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(&text[text.find('{')?..]).ok()
    }

    /// The entry: it takes room, and cannot be loaded here.
    pub fn entry(&self) -> Entry {
        let ForeignKey { endpoint, id, commit, quantization } = self.key.clone();
        let (bytes, last_used) = (self.bytes, self.last_used);
        Entry { id, revision: commit, quantization, bytes, complete: false, last_used, endpoint }
    }

    /// The names by which [`Which`] may mean it.
    pub fn names(&self) -> [&str; 1] {
        [&self.requested]
    }

    /// True if it is the same model, of any version.
    pub fn is_replaced_by(&self, key: &ModelKey) -> bool {
        let ForeignKey { endpoint, id, quantization, .. } = &self.key;
        (endpoint, id, quantization.as_str()) == (&key.endpoint, &key.id, key.quantization.as_str())
    }
}

/// The entries as one list, the last used first.
pub fn merged(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let mut list: Vec<Entry> = Vec::new();
    for entry in entries {
        let same = |e: &&mut Entry| {
            (&e.endpoint, &e.id, &e.revision, &e.quantization)
                == (&entry.endpoint, &entry.id, &entry.revision, &entry.quantization)
        };
        match list.iter_mut().find(same) {
            Some(known) => {
                known.bytes += entry.bytes;
                known.complete |= entry.complete;
                known.last_used = known.last_used.max(entry.last_used);
            }
            None => list.push(entry),
        }
    }
    list.sort_by(|a, b| b.last_used.total_cmp(&a.last_used));
    list
}

/// Which models a caller means.
#[derive(Clone, Debug)]
pub struct Which {
    /// `owner/name`, or the folder's address.
    pub id: String,
    /// A commit, or a branch or tag that was asked for.
    pub revision: Option<String>,
    /// A precision.
    pub quantization: Option<String>,
}

impl Which {
    /// True if a model with this entry is meant, which was asked for by these names.
    pub fn means<'n>(&self, entry: &Entry, names: impl IntoIterator<Item = &'n str>) -> bool {
        // A folder has no branches: only what names contents can tell one version from another.
        let is_of_revision = |revision: &String| {
            *revision == entry.revision
                || (entry.endpoint.is_empty() && !is_hash(revision))
                || names.into_iter().any(|name| name == revision)
        };
        entry.id == self.id
            && self.quantization.as_ref().is_none_or(|q| *q == entry.quantization)
            && self.revision.as_ref().is_none_or(is_of_revision)
    }
}

fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What to say where `needed` bytes do not fit into the `free` ones: which models, the least recently used
/// first, would make room.
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
    fn what_another_version_stored_is_seen_and_can_be_deleted() {
        let json = r#"{"key":{"endpoint":"https://hub.example","id":"o/a","commit":"c1","quantization":"q4"},
            "requested":"v1","config":{},"is_converted":true,"units":3,"plan":"","bytes":70,"complete":true,"last_used":3.0}"#;
        let old = Foreign::parse(json).expect("a record of format 2");
        let sealed = Foreign::parse(&format!("{}{json}", "0".repeat(64))).expect("one of a later format");
        assert_eq!(old.entry(), sealed.entry());
        assert_eq!((old.entry().bytes, old.entry().complete), (70, false));
        let which = |revision: Option<&str>| Which {
            id: "o/a".into(),
            revision: revision.map(str::to_owned),
            quantization: Some("q4".into()),
        };
        for (revision, is_meant) in [(None, true), (Some("c1"), true), (Some("v1"), true), (Some("main"), false)] {
            assert_eq!(which(revision).means(&old.entry(), old.names()), is_meant, "{revision:?}");
        }
        assert!(old.is_replaced_by(&record("o/a", 1).key) && !old.is_replaced_by(&record("o/b", 1).key));
        for other in ["", "plain text", "{}", r#"{"key":{}}"#, "{"] {
            assert!(Foreign::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_damaged_record_is_known_by_its_key() {
        for id in ["o/a", "http://host/a|b/?x=|/"] {
            let mut key = record(id, 1).key;
            if id.starts_with("http") {
                key.endpoint.clear();
            }
            assert_eq!(ModelKey::parse(&key.text()), Some(key));
        }
        assert_eq!(ModelKey::parse("tuning|1"), None);
    }

    #[test]
    fn a_folder_is_deleted_whatever_branch_is_named() {
        let mut folder = Entry::from(&record("http://host/m/", 1));
        folder.endpoint.clear();
        let which =
            |revision: &str| Which { id: folder.id.clone(), revision: Some(revision.into()), quantization: None };
        assert!(which("main").means(&folder, []) && which(&folder.revision).means(&folder, []));
        assert!(!which(&"b".repeat(40)).means(&folder, []), "other contents");
    }

    #[test]
    fn a_model_that_was_planned_twice_is_one_entry() {
        let mut models = [record("o/a", 1), record("o/a", 1), record("o/b", 1)];
        models[1].key.plan = "other".into();
        (models[0].bytes, models[1].bytes, models[1].complete, models[1].last_used) = (5, 7, true, 2.0);
        let list = merged(models.iter().map(Entry::from));
        let listed: Vec<_> = list.iter().map(|e| (e.id.as_str(), e.bytes, e.complete)).collect();
        assert_eq!(listed, [("o/a", 12, true), ("o/b", 0, false)]);
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
