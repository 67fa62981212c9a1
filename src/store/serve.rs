//! Which stored model serves a request.

use super::{ModelKey, ModelRecord};
use crate::checkpoint::layout::Quantization;
use crate::config::{ModelConfig, PartialConfig};

/// Which version of a model is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Version<'a> {
    /// The one of this commit, or with these contents.
    Commit(&'a str),
    /// The one that this branch, tag or commit was when it was last requested.
    Name(&'a str),
    /// The one used last: a folder has no names for its versions.
    Newest,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Address of the hub; empty for a folder.
    pub endpoint: &'a str,
    /// `owner/name`, or the folder's address.
    pub id: &'a str,
    /// Precision; if not given, it is the folder's own, or q4 where the folder has none.
    pub quantization: Option<Quantization>,
    /// What the caller says of its shape.
    pub config: Option<&'a PartialConfig>,
}

impl Wanted<'_> {
    /// The complete model that serves the request best, and the shape that it has in this load.
    pub fn find<'m>(&self, models: &'m [ModelRecord], version: Version) -> Option<(&'m ModelRecord, ModelConfig)> {
        let fitting = models.iter().filter(|m| m.complete && self.fits(&m.key, m.is_converted));
        let dated = fitting.filter_map(|m| {
            let when = match version {
                Version::Commit(commit) => (m.key.commit == commit).then_some(m.last_used),
                Version::Name(name) if m.key.commit == name => Some(f64::INFINITY),
                Version::Name(name) => m.names.get(name).copied(),
                Version::Newest => Some(m.last_used),
            };
            // A config that contradicts the tables is refused where the model is planned again.
            Some((when?, m, m.declared.completed(self.config).ok()?))
        });
        dated.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, model, config)| (model, config))
    }

    fn fits(&self, key: &ModelKey, is_converted: bool) -> bool {
        let is_wanted = match self.quantization {
            Some(wanted) => wanted == key.quantization,
            None => !is_converted || key.quantization == Quantization::Q4,
        };
        key.endpoint == self.endpoint && key.id == self.id && is_wanted
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::record;
    use super::*;

    const HUB: &str = "https://hub.example";

    fn wanted(quantization: Option<Quantization>) -> Wanted<'static> {
        Wanted { endpoint: HUB, id: "o/a", quantization, config: None }
    }

    fn complete(id: &str, commit: char, names: &[(&str, f64)]) -> ModelRecord {
        let mut model = record(id, 1);
        model.key.commit = commit.to_string().repeat(40);
        model.names = names.iter().map(|(name, when)| ((*name).to_owned(), *when)).collect();
        model.last_used = names.iter().map(|n| n.1).fold(0.0, f64::max);
        model.complete = true;
        model
    }

    fn commit(found: Option<(&ModelRecord, ModelConfig)>) -> Option<char> {
        found.and_then(|(model, _)| model.key.commit.chars().next())
    }

    #[test]
    fn a_model_is_found_by_every_name_that_it_was_asked_for_by() {
        let a = complete("o/a", 'a', &[("main", 1.0), ("v1.0", 9.0)]);
        let b = complete("o/a", 'b', &[("main", 5.0)]);
        let models = [a, b, complete("o/b", 'c', &[("main", 7.0)])];
        let by = |name: &str| commit(wanted(None).find(&models, Version::Name(name)));
        assert_eq!(by("main"), Some('b'), "a branch is what it was the last time, not what was used last");
        assert_eq!(by("v1.0"), Some('a'));
        assert_eq!(by(&"a".repeat(40)), Some('a'));
        assert_eq!(by("v2"), None);
        assert_eq!(commit(wanted(None).find(&models, Version::Commit(&"b".repeat(40)))), Some('b'));
        assert_eq!(commit(wanted(None).find(&models, Version::Newest)), Some('a'));
    }

    #[test]
    fn only_what_is_complete_and_of_the_precision_serves() {
        let mut models = [complete("o/a", 'a', &[("main", 1.0)])];
        let find = |models: &[ModelRecord], q| wanted(q).find(models, Version::Name("main")).is_some();
        assert!(find(&models, None) && find(&models, Some(Quantization::Q4)));
        assert!(!find(&models, Some(Quantization::Q8)));
        models[0].key.quantization = Quantization::Q8;
        assert!(!find(&models, None), "q8 is nobody's default");
        models[0].is_converted = false;
        assert!(find(&models, None), "but may be a folder's own");
        models[0].complete = false;
        assert!(!find(&models, None));
    }

    #[test]
    fn what_a_caller_says_of_the_shape_counts_for_that_load() {
        let models = [complete("o/a", 'a', &[("main", 1.0)])];
        let rotary = |given: Option<&PartialConfig>| {
            let wanted = Wanted { config: given, ..wanted(None) };
            wanted.find(&models, Version::Name("main")).map(|(_, config)| config.rotary_pct)
        };
        let given = PartialConfig { rotary_pct: Some(0.5), ..PartialConfig::default() };
        assert_eq!(rotary(None), Some(0.25));
        assert_eq!(rotary(Some(&given)), Some(0.5));
        assert_eq!(rotary(None), Some(0.25));
        let fewer = PartialConfig { num_layers: Some(1), ..PartialConfig::default() };
        assert_eq!(rotary(Some(&fewer)), None, "the tables are those of twelve layers");
        // What only a caller could say, the next one must say again.
        let mut undeclared = models.clone();
        undeclared[0].declared.num_attention_heads = None;
        let find = |given| Wanted { config: given, ..wanted(None) }.find(&undeclared, Version::Newest).is_some();
        assert!(!find(None));
        assert!(find(Some(&PartialConfig { num_attention_heads: Some(12), ..PartialConfig::default() })));
    }
}
