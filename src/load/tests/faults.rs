//! What fails once is retried; what always fails gives the right error, and leaves nothing wrong behind.

use super::{Visit, files, folder, published};
use crate::hub::scripted::{Fault, Kind, On};
use std::time::Duration;

fn status(status: u16, code: Option<&'static str>) -> Kind {
    Kind::Status { status, code, retry_after: None }
}

#[test]
fn what_fails_once_is_overcome() {
    let once = [
        Fault::once(Kind::Cut { after: 300_000 }).times(3),
        Fault::once(Kind::Short { less: 1000 }).times(2),
        Fault::once(Kind::Long),
        Fault::once(Kind::NoRange),
        Fault::once(Kind::WrongRange),
        Fault::once(Kind::Stall { after: 10_000 }),
        Fault::once(Kind::Slow { rate: 20_000_000 }),
        Fault::once(Kind::Silent),
        Fault::once(Kind::Trickle { every: Duration::from_secs(1) }),
        Fault::once(Kind::Status { status: 429, code: None, retry_after: Some(1) }),
        Fault::once(Kind::status(500)).times(2),
        Fault::once(Kind::status(403)),
        Fault::once(Kind::status(503)).hub("tree"),
        Fault::once(Kind::Cut { after: 10 }).hub("config"),
    ];
    let visit = Visit::new();
    visit.hub.exposes_retry_after.set(true);
    for fault in once {
        for name in ["o/published", "o/folder"] {
            visit.hub.fail(fault.clone());
            visit.fill(name).loaded((name, &fault));
            assert!(visit.hub.mend(), "{name} {fault:?} was met");
            visit.forget();
        }
    }
    assert!(visit.hub.violations.borrow().is_empty(), "{:?}", visit.hub.violations.borrow());
}

#[test]
fn what_fails_for_ever_is_the_right_error() {
    let always = [
        (Fault::always(Kind::Cut { after: 1000 }), "network"),
        (Fault::always(Kind::Stall { after: 0 }), "network"),
        (Fault::always(Kind::Short { less: 2000 }), "network"),
        (Fault::always(Kind::Silent), "network"),
        (Fault::always(Kind::status(500)), "network"),
        (Fault::always(Kind::status(429)), "rate-limited"),
        (Fault::always(Kind::Status { status: 429, code: None, retry_after: Some(3600) }), "rate-limited"),
        (Fault::always(Kind::status(403)), "network"), // the hub's own signature is refused: no token helps
        (Fault::always(Kind::status(404)), "model-not-found"),
        (Fault::always(Kind::Html), "model-not-found"),
        (Fault::always(status(401, Some("RepoNotFound"))).hub("api"), "model-not-found"),
        (Fault::always(status(401, None)).hub("api"), "model-not-found"),
        (Fault::always(status(429, None)).hub("api"), "rate-limited"),
        (Fault::always(status(403, Some("GatedRepo"))).hub("resolve"), "unauthorized"),
        (Fault::always(status(404, Some("EntryNotFound"))).hub("resolve"), "model-not-found"),
    ];
    let visit = Visit::new();
    visit.hub.exposes_retry_after.set(true);
    for (fault, code) in always {
        for name in ["o/published", "o/bare"] {
            visit.hub.fail(fault.clone());
            let seen = visit.fill(name).expect(code, (name, &fault));
            let is_limit = matches!(fault.kind, Kind::Status { status: 429, retry_after: None, .. });
            let says = |t: &super::Report| t.waiting_for.as_deref().is_some_and(|w| w.contains("asks to wait"));
            assert_eq!(seen.progress.iter().any(says), is_limit, "{name} {fault:?}");
            visit.hub.mend();
            assert!(visit.models().iter().all(|(_, complete)| !complete), "{name} {fault:?}");
        }
    }
    for name in ["o/published", "o/bare"] {
        visit.fill(name).loaded(name);
    }
    assert!(visit.hub.violations.borrow().is_empty());
}

#[test]
fn signed_addresses_expire() {
    for hides in [false, true] {
        let visit = Visit::new();
        visit.hub.hides_expiry.set(hides);
        visit.world.run(async |_| {
            let held = visit.hub.hold_after(3_000_000);
            let request = visit.request("o/published");
            let signal = Default::default();
            let loading = visit.load_with(&request, &signal);
            let expiring = async {
                held.await.expect("held");
                visit.hub.expire();
                visit.hub.release();
            };
            let (seen, ()) = futures_util::future::join(loading, expiring).await;
            seen.loaded(hides);
        });
        assert!(visit.hub.requests.borrow().iter().any(|r| r.on == On::Cdn && r.status == 403), "one had expired");
    }
}

#[test]
fn limits_are_waited_for_and_that_is_said() {
    for on in ["hub", "cdn"] {
        let visit = Visit::to([("o/folder", folder())]);
        let fault = Fault::once(Kind::status(429)).times(3);
        visit.hub.fail(if on == "hub" { fault.hub("") } else { fault });
        let seen = visit.fill("o/folder").loaded(on);
        let words = seen.progress.iter().filter_map(|t| t.waiting_for.as_deref());
        assert!(words.into_iter().any(|w| w.contains("asks to wait: the next attempt comes in 1")), "{on}");
    }
}

/// A manifest that claims a file larger than any real one.
fn lying_manifest() -> &'static [u8] {
    super::lasting(format!(
        r#"{{"format":1,"files":[{{"path":"model.safetensors","size":{},"sha256":"{}"}}]}}"#,
        1u64 << 53,
        "a".repeat(64)
    ))
}

#[test]
fn sizes_that_nobody_has_end_the_load() {
    let claims = |path: &str, size: u64, mut repository: super::Repository| {
        repository.sizes.insert(path.into(), size);
        repository
    };
    let mut liar = folder();
    liar.files.insert("manifest.json".into(), lying_manifest());
    for (what, repository) in [
        ("the manifest", liar),
        ("the tree", claims("pytorch_model.bin", 1 << 53, published())),
        ("a small file's", claims("config.json", 1 << 62, folder())),
    ] {
        let visit = Visit::to([("o/a", repository)]);
        let seen = visit.fill("o/a").expect("unsupported-checkpoint", what);
        assert!(seen.words().contains("is said to have"), "{}", seen.words());
        assert!(visit.hub.sent("") < 100_000, "{what}");
    }
    // One byte more or less than there is.
    for size in [-1, 1] {
        let claimed = (files().checkpoint.len() as i64 + size) as u64;
        let visit = Visit::to([("o/a", claims("pytorch_model.bin", claimed, published()))]);
        let seen = visit.fill("o/a");
        assert!(
            ["integrity", "unsupported-checkpoint", "network"].contains(&seen.outcome()),
            "{size}: {}",
            seen.words()
        );
        assert!(visit.models().iter().all(|(_, complete)| !complete));
    }
}

#[test]
fn a_model_goes_on_writing_while_another_load_fails() {
    use crate::engine::{Backend, Logits};
    use crate::platform::Clock;
    let step = |n: usize| [7 + 31 * n as u32];
    let calm = || Visit::new().fill("o/folder").loaded("the model").result.expect("loaded").model;
    let mut model = calm();
    let right: Vec<Vec<f32>> =
        (0..6).map(|n| pollster::block_on(model.forward(&step(n), Logits::Last)).expect("a step")).collect();
    let mut liar = folder();
    liar.files.insert("manifest.json".into(), lying_manifest());
    let mut giant = published();
    giant.sizes.insert("pytorch_model.bin".into(), 1 << 53);
    let visit = Visit::to([("o/liar", liar), ("o/giant", giant), ("o/garbled", folder())]);
    for name in ["o/liar", "o/giant", "o/garbled"] {
        visit.hub.fail(Fault::always(Kind::Corrupt { at: 1_200_000 }));
        let mut model = calm();
        visit.world.run(async |world| {
            let (request, signal) = (visit.request(name), Default::default());
            let mut written = Vec::new();
            let writing = async {
                for n in 0..right.len() {
                    written.push(model.forward(&step(n), Logits::Last).await.expect("a step"));
                    world.sleep(Duration::from_millis(20)).await;
                }
            };
            let (seen, ()) = futures_util::future::join(visit.load_with(&request, &signal), writing).await;
            assert_ne!(seen.outcome(), "loaded", "{name}");
            assert!(written == right, "{name}: the text is that of a calm visit");
        });
        visit.hub.mend();
    }
}
