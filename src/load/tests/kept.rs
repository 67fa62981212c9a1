//! What is kept between visits: by which names it is found, and when it replaces what is unavailable.

use super::{CHECKPOINT, Visit, WEIGHTS, folder, published};
use crate::checkpoint::layout::Quantization;
use crate::config::PartialConfig;
use crate::hub::scripted::{Fault, Kind, Repository};
use crate::load::request::Request;

fn visit() -> Visit {
    let branches = vec!["v1.0"];
    Visit::to([("o/folder", Repository { branches, ..folder() }), ("o/published", published())])
}

fn revision(visit: &Visit, revision: &str) -> Request {
    Request { revision: revision.into(), ..visit.request("o/folder") }
}

#[test]
fn without_a_network_a_model_is_found_by_every_name_that_it_was_loaded_by() {
    let visit = visit();
    for name in ["main", "v1.0"] {
        visit.fill_with(&revision(&visit, name)).loaded(name);
    }
    let commit = visit.hub.commit("o/folder");
    let address = visit.hub.folder("o/folder");
    visit.fill(&address).loaded("by its address");
    visit.world.set_offline(true);
    for name in ["main", "v1.0", &commit] {
        let seen = visit.fill_with(&revision(&visit, name));
        let words = seen.words();
        assert_eq!(words.contains("This device is offline"), *name != commit, "{name}: {words}");
        seen.loaded(name);
    }
    visit.fill_with(&revision(&visit, "v2.0")).expect("network", "a name that it never had");
    visit.fill(&address).loaded("by its address");
    let q8 = Request { quantization: Some(Quantization::Q8), ..visit.request("o/published") };
    visit.fill_with(&q8).expect("network", "of another precision nothing is stored");
}

#[test]
fn a_commit_that_is_stored_needs_nobodys_word() {
    let visit = visit();
    let request = revision(&visit, &visit.hub.commit("o/folder"));
    visit.fill_with(&request).loaded("the first time");
    visit.hub.requests.take();
    visit.fill_with(&request).loaded("the second");
    assert!(visit.hub.requests.borrow().is_empty());
}

#[test]
fn a_stored_model_stands_in_for_what_gives_no_answer() {
    let visit = visit();
    visit.fill("o/folder").loaded("stored");
    for (kind, says) in [
        (Kind::status(429), "asks to wait"),
        (Kind::status(503), "cannot be reached"),
        (Kind::Silent, "cannot be reached"),
        (Kind::Status { status: 404, code: Some("RepoNotFound"), retry_after: None }, "is no longer available there"),
        (Kind::status(401), "is no longer available there"),
        (Kind::status(403), "is no longer available there"),
    ] {
        visit.hub.requests.take();
        visit.hub.fail(Fault::always(kind.clone()).hub("api"));
        let seen = visit.fill("o/folder");
        visit.hub.mend();
        let words = seen.words();
        assert!(words.contains(says) && words.contains("stored on an earlier visit"), "{kind:?}: {words}");
        seen.loaded(&kind);
        assert!(visit.hub.requests.borrow().len() <= 2, "{kind:?}: nobody waits long beside a copy");
    }
    visit.fill_with(&revision(&visit, "v9")).expect("model-not-found", "never stored under that name");
}

#[test]
fn a_folder_that_went_away_is_loaded_from_the_store() {
    let host = Visit::to_a_host();
    let name = host.hub.folder("o/bare");
    host.fill(&name).loaded("stored");
    host.hub.repositories.borrow_mut().clear();
    let seen = host.fill(&name);
    assert!(seen.words().contains("stored on an earlier visit"), "{}", seen.words());
    seen.loaded("from the store");
}

#[test]
fn a_config_counts_for_the_load_that_it_was_given_to() {
    let visit = visit();
    let rotary = |name: &str, given: Option<f64>| {
        let config = given.map(|pct| {
            let json = format!("{{\"rotary_pct\":{pct}}}");
            PartialConfig::from_json(json.as_bytes()).expect("a config")
        });
        let seen = visit.fill_with(&Request { config, ..visit.request(name) }).loaded(name);
        seen.result.expect("loaded").model.config().rotary_pct
    };
    use crate::engine::Backend;
    for (name, path) in [("o/folder", WEIGHTS), ("o/published", CHECKPOINT)] {
        assert_eq!(rotary(name, Some(0.5)), 0.5, "{name}");
        visit.hub.requests.take();
        assert_eq!(rotary(name, None), 0.25, "{name}: what the first load was given is not kept");
        assert_eq!(rotary(name, Some(0.5)), 0.5, "{name}");
        assert!(visit.hub.sent(path) < 300_000, "{name}: the weights are not loaded again");
    }
    for layers in [1, 3] {
        let config = PartialConfig { num_layers: Some(layers), ..PartialConfig::default() };
        let request = Request { config: Some(config), ..visit.request("o/folder") };
        visit.fill_with(&request).expect("invalid-config", layers);
    }
}
