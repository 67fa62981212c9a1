//! Where models are: hubs, static hosts, and what else may be found in their place.

use super::{CHECKPOINT, SMALL, Visit, WEIGHTS, bare, files, folder, lasting, of, published, sharded};
use crate::checkpoint::layout::Quantization;
use crate::hub::scripted::{Fault, Kind, Missing, On, Repository};
use crate::load::request::Request;
use crate::platform::abort::Signal;
use futures_util::future::join;

#[test]
fn private_and_gated_repositories_are_told_apart() {
    let token = Some("hf_secret");
    let visit = Visit::to([
        ("o/folder", folder()),
        ("o/private", Repository { token, ..folder() }),
        ("o/gated", Repository { token, gated: true, ..folder() }),
    ]);
    let outcome = |name: &str, token: Option<&str>| {
        let request = Request { token: token.map(str::to_owned), cache: false, ..visit.request(name) };
        let seen = visit.fill_with(&request);
        (seen.outcome(), seen.words())
    };
    assert_eq!(outcome("o/private", None).0, "model-not-found");
    assert_eq!(outcome("o/private", Some("hf_wrong")).0, "unauthorized");
    assert_eq!(outcome("o/gated", None).0, "unauthorized");
    assert_eq!(outcome("o/private", token).0, "loaded");
    assert_eq!(outcome("o/gated", token).0, "loaded");
    let (code, words) = outcome("o/nothing", None);
    assert_eq!(code, "model-not-found");
    assert!(words.contains("o/nothing on hub.example, or it is private"), "{words}");
    assert!(outcome("o/folder", Some("hf_wrong")).1.contains("does not accept the access token"));
    let branch = Request { revision: "no-such-branch".into(), ..visit.request("o/folder") };
    visit.fill_with(&branch).expect("model-not-found", "a branch");
    let q8 = Request { quantization: Some(Quantization::Q8), ..visit.request("o/folder") };
    visit.fill_with(&q8).expect("invalid-argument", "a precision that a folder has not");
    assert!(visit.hub.violations.borrow().is_empty(), "{:?}", visit.hub.violations.borrow());
}

#[test]
fn all_is_asked_for_by_the_commit() {
    let visit = Visit::new();
    for name in ["o/published", "o/folder"] {
        visit.fill(name).loaded(name);
        let (commit, requests) = (visit.hub.commit(name), visit.hub.requests.take());
        let (to_name, by_commit): (Vec<_>, Vec<_>) =
            requests.iter().filter(|r| r.on == On::Hub).partition(|r| r.path.contains("/revision/main"));
        assert_eq!(to_name.len(), 1, "what the name means is asked once");
        assert!(by_commit.len() > 2 && by_commit.iter().all(|r| r.path.contains(&commit)), "{by_commit:?}");
    }
}

#[test]
fn plain_hosts_servers_that_ignore_ranges_and_sizes_that_nobody_tells() {
    for (plain, ignores, hides) in
        [(true, false, false), (true, true, false), (false, true, false), (false, false, true)]
    {
        let visit = Visit::new();
        visit.hub.plain.set(plain);
        visit.hub.ignores_ranges.set(ignores);
        visit.hub.hides_ranges.set(hides);
        for name in ["o/published", "o/bare", "o/folder", "o/sharded"] {
            let what = (name, plain, ignores, hides);
            visit.fill(name).loaded(what);
            let before = visit.hub.sent("");
            visit.fill(name).loaded(what);
            assert!(plain || visit.hub.sent("") - before < SMALL, "{what:?}: sent again");
        }
        assert!(visit.hub.violations.borrow().is_empty());
    }
}

#[test]
fn static_hosts_say_in_many_ways_that_a_file_is_missing() {
    for (missing, nothing) in [
        (Missing::Status(404), "model-not-found"),
        (Missing::Status(403), "unauthorized"),
        (Missing::Hidden, "network"),
    ] {
        let visit = Visit::to_a_host();
        visit.hub.missing.set(Some(missing));
        for name in ["o/folder", "o/bare", "o/published", "o/sharded"] {
            visit.fill(&visit.hub.folder(name)).loaded((name, missing));
        }
        visit.fill(&visit.hub.folder("o/nothing")).expect(nothing, missing);
        // A damaged file is not mistaken for another format: the manifest shows that it is damaged.
        visit.forget();
        visit.hub.fail(Fault::always(Kind::Corrupt { at: 20 }).hub("safetensors"));
        visit.fill(&visit.hub.folder("o/folder")).expect("integrity", missing);
    }
}

#[test]
fn a_hub_that_is_odd() {
    // Its manifest is that of another version.
    let mut stale = folder();
    let manifest = String::from_utf8(stale.files["manifest.json"].to_vec()).expect("text");
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    for file in manifest["files"].as_array_mut().expect("files") {
        let size = file["size"].as_u64().expect("a size") + 1;
        let [path, sha256] = ["path", "sha256"].map(|key| file[key].clone());
        *file = serde_json::json!({ "path": path, "size": size, "sha256": sha256 });
    }
    stale.files.insert("manifest.json".into(), lasting(manifest.to_string()));
    let visit = Visit::to([("o/stale", stale), ("Haiyang-W/TokenFormer-150M", published())]);
    visit.fill("o/stale").loaded("an old manifest");
    let seen = visit.fill("Haiyang-W/TokenFormer-150M");
    assert!(seen.words().contains("There is no tokenizer"), "{}", seen.words());
    seen.loaded("a published name");
    // The hub lists nothing.
    let visit = Visit::new();
    visit.hub.has_no_tree.set(true);
    for name in ["o/published", "o/bare", "o/sharded"] {
        visit.fill(name).loaded(name);
    }
}

#[test]
fn files_that_change_meanwhile_are_other_files() {
    let visit = Visit::to_a_host();
    let name = visit.hub.folder("o/published");
    visit.world.run(async |_| {
        let held = visit.hub.hold_after(5_000_000);
        let (request, signal) = (visit.request(&name), Signal::default());
        let changing = async {
            held.await.expect("held");
            visit.hub.version.set(1);
            visit.hub.release();
        };
        let (seen, ()) = join(visit.load_with(&request, &signal), changing).await;
        seen.expect("integrity", "another version");
    });
    visit.fill(&name).loaded("the new one");
    // Where entries do not lie as torch.save puts them, the next visit downloads nothing either.
    let name = visit.hub.folder("o/unaligned");
    visit.fill(&name).loaded("unaligned");
    visit.hub.requests.take();
    visit.fill(&name).loaded("unaligned again");
    let requests = visit.hub.requests.borrow();
    // (Its size, which nothing states there, is measured anyway.)
    let ranges: u64 = requests.iter().filter(|r| r.is_range && r.path.ends_with(CHECKPOINT)).map(|r| r.bytes).sum();
    assert!(ranges > 0 && ranges < SMALL, "only what tells where the weights are is read again: {ranges} bytes");
}

#[test]
fn a_file_that_is_something_else_is_called_by_its_name() {
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 608000000\n", "a".repeat(64));
    let pointer = lasting(pointer);
    let html = b"<!doctype html><title>Sign in</title>".as_slice();
    let header =
        r#"{"__metadata__":{"format":"pt"},"2.mlp.key_param_tokens":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let converted = lasting([&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat());
    let config = ("config.json", files().config.as_slice());
    let checkpoint = (CHECKPOINT, files().checkpoint.as_slice());
    let mut config_pointer = bare();
    config_pointer.files.insert("config.json".into(), pointer);
    let visit = Visit::to([
        ("o/converted", of([config, checkpoint, (WEIGHTS, converted)])),
        ("o/beside", of([config, checkpoint, (WEIGHTS, pointer)])),
        ("o/alone", of([config, (WEIGHTS, converted)])),
        ("o/pointer", of([config, (CHECKPOINT, pointer)])),
        ("o/quantized-pointer", of([config, (WEIGHTS, pointer)])),
        ("o/config-pointer", config_pointer),
        ("o/page", of([config, (CHECKPOINT, html)])),
        ("o/empty", of([config])),
    ]);
    for (name, says) in
        [("o/converted", "not a model that this project's convert tool wrote"), ("o/beside", "git-lfs pointer")]
    {
        let seen = visit.fill(name);
        assert!(
            seen.words().contains(says) && seen.words().contains("pytorch_model.bin was loaded"),
            "{}",
            seen.words()
        );
        seen.loaded(name);
    }
    for (name, code, says) in [
        ("o/alone", "unsupported-checkpoint", "convert tool"),
        ("o/pointer", "unsupported-checkpoint", "git-lfs pointer"),
        ("o/quantized-pointer", "unsupported-checkpoint", "git lfs pull"),
        ("o/config-pointer", "unsupported-checkpoint", "config.json is a git-lfs pointer"),
        ("o/page", "unsupported-checkpoint", "web page"),
        ("o/empty", "model-not-found", "\"./o/empty\""),
    ] {
        let seen = visit.fill(name).expect(code, name);
        assert!(seen.words().contains(says), "{name}: {}", seen.words());
    }
}

#[test]
fn a_file_without_an_end_is_not_read_to_it() {
    let visit = Visit::to_a_host();
    let name = visit.hub.folder("o/published");
    visit.hub.fail(Fault::always(Kind::Endless { first: Vec::new() }).hub("pytorch"));
    visit.fill(&name).expect("unsupported-checkpoint", "zeros");
    assert!(visit.hub.sent(CHECKPOINT) < 64_000_000, "what is no archive is not measured");
    visit.hub.mend();
    visit.hub.fail(Fault::always(Kind::Endless { first: b"PK\x03\x04    ".to_vec() }).hub("pytorch"));
    let seen = visit.world.run(async |world| {
        use crate::platform::{Clock, Platform};
        let signal = Signal::default();
        let (stop, later) = (signal.clone(), world.clone());
        world.spawn(async move {
            later.sleep(std::time::Duration::from_secs(2)).await;
            stop.set();
        });
        visit.load_with(&visit.request(&name), &signal).await
    });
    let seen = seen.expect("aborted", "an archive without an end");
    let words: Vec<_> = seen.progress.iter().filter_map(|t| t.waiting_for.clone()).collect();
    assert!(words[0].contains("pytorch_model.bin: 1 MB read"), "{words:?}");
    assert!(seen.progress.iter().all(|t| t.loaded == 0), "what is measured counts for nothing");
}

#[test]
fn many_shards_are_one_model() {
    assert!(sharded().files.keys().filter(|name| name.ends_with(".safetensors")).count() >= 3);
    let visit = Visit::new();
    let mut lost = sharded();
    let name = lost.files.keys().find(|name| name.ends_with(".safetensors")).expect("a shard").clone();
    lost.files.remove(&name);
    visit.hub.repositories.borrow_mut().insert("o/lost".into(), lost);
    let seen = visit.fill("o/lost").expect("model-not-found", "a shard is missing");
    assert!(seen.words().contains(&name), "{}", seen.words());
}
