//! What a hub or a static host answers: commit, list of files, manifest, headers.
use tokenformer_web::checkpoint::manifest::Manifest;
use tokenformer_web::hub::error_of_answer;
use tokenformer_web::hub::listing::{Listing, commit, is_commit, next_page};
use tokenformer_web::hub::retry::{asked, content_range};

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
            }
        }
    }
    assert!(listed || listing.file("config.json").is_none());
    let text = String::from_utf8_lossy(data);
    let _ = (next_page(&text), asked(Some(&text), Some(&text)), content_range(&text));
    let _ = error_of_answer(&text, 403, Some(&text), false);
}
