//! Which server is asked, by which address, and with which token.

use super::super::Location;
use super::super::ranges::{peek, small};
use super::super::scripted::{CDN, Fault, HUB, Kind};
use super::{LARGE, Place, SMALL, repository};
use crate::error::ErrorCode;

#[test]
fn the_token_goes_to_the_endpoint_alone() {
    let place = Place::new();
    let private = super::Repository { token: Some("hf_secret"), ..repository() };
    place.hub.repositories.borrow_mut().insert("o/a".into(), private);
    place.world.run(async |_| {
        for (token, code) in [(None, ErrorCode::ModelNotFound), (Some("hf_wrong"), ErrorCode::Unauthorized)] {
            let client = place.client_with(token);
            assert_eq!(small(&client, SMALL, None, 99).await.expect_err("refused").code, code);
        }
        let client = place.client_with(Some("hf_secret"));
        small(&client, SMALL, None, 99).await.expect("fetched");
        peek(&client, LARGE, 0..10).await.expect("by way of the storage");
        peek(&client, LARGE, 10..20).await.expect("by the address that it gave");
    });
    assert!(place.hub.violations.borrow().is_empty(), "{:?}", place.hub.violations.borrow());

    // A static host gets none at all.
    let place = Place::new();
    place.hub.plain.set(true);
    place.world.run(async |_| small(&place.client_with(Some("hf_secret")), SMALL, None, 99).await).expect("fetched");
    assert!(place.hub.violations.borrow().is_empty(), "{:?}", place.hub.violations.borrow());
}

#[test]
fn a_refusal_of_the_storage_is_the_hubs_fault() {
    let place = Place::new();
    place.hub.fail(Fault::always(Kind::status(403)));
    let e = place.world.run(async |_| peek(&place.client(), LARGE, 0..10).await.err()).expect("refused");
    assert_eq!(e.code, ErrorCode::Network);
    assert!(e.to_string().contains("no token helps"), "{e}");
}

#[test]
fn the_api_is_asked_at_the_endpoint_alone() {
    let place = Place::new();
    place.world.run(async |_| {
        let client = place.client();
        let (answer, link) =
            client.api(&format!("{HUB}/api/models/o/a/revision/main")).await.expect("an API").expect("it");
        assert!(answer.starts_with(b"{") && link.is_none());
        let e = client.api(&format!("{CDN}/api/models/o/a/tree/main")).await.expect_err("elsewhere");
        assert_eq!(e.code, ErrorCode::Network);
        for status in [404, 405, 501] {
            place.hub.fail(Fault::once(Kind::status(status)).hub("api"));
            let none = client.api(&format!("{HUB}/api/models/o/a/revision/main")).await.expect("no error");
            assert!(none.is_none(), "{status}: a server without an API");
        }
        place.hub.fail(Fault::once(Kind::status(503)).hub("api"));
        client.api(&format!("{HUB}/api/models/o/a/revision/main")).await.expect("at the second attempt").expect("it");
    });
}

#[test]
fn urls() {
    let folder = Location::Folder { url: "https://a.example/m/".into() };
    assert_eq!(folder.url("config.json"), "https://a.example/m/config.json");
    let hub = Location::Repository {
        endpoint: "https://hub.example".into(),
        repository: "o/n".into(),
        revision: "refs/pr/1".into(),
    };
    assert_eq!(hub.url("config.json"), "https://hub.example/o/n/resolve/refs%2Fpr%2F1/config.json");
    assert_eq!((hub.to_string(), folder.to_string()), ("o/n on hub.example".into(), "https://a.example/m/".into()));
}
