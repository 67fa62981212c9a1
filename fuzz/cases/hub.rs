//! What a hub or a static host answers: commit, list of files, manifest, headers. Whatever sizes they claim, what is made
//! of them is small, and every answer has one meaning.
use std::time::Duration;
use tokenformer_web::checkpoint::{folder::of_another_kind, sniff};
use tokenformer_web::hub::answer::{Answer, Host, host, stored_instead};
use tokenformer_web::hub::listing::{Listing, commit, is_commit, next_page};
use tokenformer_web::hub::manifest::Manifest;
use tokenformer_web::hub::retry::{ATTEMPTS, Failures, LIMIT_TIMEOUT, asked, content_range};
use tokenformer_web::sizes::{MAX_FILE_BYTES, Steps, unit_bytes};

/// What no input may bring to panic, to hang, or to take too much memory.
pub fn run(data: &[u8]) {
    if let Ok(commit) = commit(data) {
        assert!(is_commit(&commit));
    }
    let manifest = Manifest::from_json(data).ok().flatten();
    let mut listing = Listing::complete();
    let listed = listing.add_page(data).is_ok();
    for listing in [&mut listing, &mut Listing::default()] {
        if let Some(manifest) = &manifest {
            listing.add_manifest(manifest);
            for file in &manifest.files {
                let chunks: u64 = file.chunks().map(|(range, _)| range.end - range.start).sum();
                assert!(chunks == 0 || chunks == file.size);
                check_size(listing, &file.path);
            }
        }
        for path in ["config.json", "model.safetensors", "pytorch_model.bin"] {
            check_size(listing, path);
        }
    }
    assert!(listed || listing.file("config.json").is_none());
    let text = String::from_utf8_lossy(data);
    let _ = (next_page(&text), host(&text), sniff::kind(data), of_another_kind("model.safetensors", data));
    if let Some((first, last, size)) = content_range(&text) {
        assert!(first <= last && last < MAX_FILE_BYTES && size.is_none_or(|size| last < size));
    }
    check_answers(&text, data.first().map_or(0, |byte| 200 + u16::from(*byte) * 2));
}

/// No size comes through that is not read here, and even the largest is gone through step by step.
fn check_size(listing: &Listing, path: &str) {
    if let Some(size) = listing.file(path).and_then(|file| file.size) {
        assert!(size <= MAX_FILE_BYTES);
        assert!(Steps::new(0..size, unit_bytes(size)).take(9).count() <= 9);
    }
}

fn check_answers(text: &str, status: u16) {
    for host in [Host::Folder, Host::Hub, Host::Storage, Host::Remembered] {
        let header = Some(text);
        let (what, place, has_token) = ("f", "o/n on hub", text.len().is_multiple_of(2));
        let (content_type, error_code, retry_after, rate_limit) = (header, header, header, header);
        let answer = Answer { what, place, host, status, has_token, content_type, error_code, retry_after, rate_limit };
        let Some(refusal) = answer.refusal() else { continue };
        let _ = stored_instead(&refusal.error);
        // It is tried again a few times, and for a few minutes at most.
        let mut failures = Failures::default();
        let waits: Vec<Duration> =
            std::iter::from_fn(|| failures.wait(refusal.again, ATTEMPTS, LIMIT_TIMEOUT, 0.5)).take(100).collect();
        assert!(waits.len() < 100 && waits.iter().sum::<Duration>() < 2 * LIMIT_TIMEOUT, "{waits:?}");
    }
    let _ = asked(Some(text), Some(text));
}
