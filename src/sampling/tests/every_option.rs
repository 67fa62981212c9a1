//! What `build.rs` generates from a table with every type of an option (`tests/fixtures/every-option.js`).

use serde::Deserialize;

include!(concat!(env!("OUT_DIR"), "/test_options.rs"));

fn read(json: &str) -> SamplingOptions {
    SamplingOptions::deserialize(&mut serde_json::Deserializer::from_str(json)).expect("options")
}

#[test]
fn what_is_left_out_has_its_default() {
    let standard = SamplingOptions::default();
    assert_eq!((standard.share, standard.fewest, standard.key, standard.is_strict), (0.25, 3, 0, true));
    assert_eq!((standard.overflow, standard.banned.len(), standard.weights.len()), (Overflow::Stop, 0, 0));
    let dry = Dry { multiplier: 0.0, base: 1.75, allowed_length: 2, breakers: vec!["\n".into(), "\"".into()] };
    assert_eq!(standard.dry, dry);
    // JavaScript passes undefined for what has no default.
    assert_eq!(read(r#"{ "key": null }"#), standard);
    assert_eq!(read(r#"{ "dry": { "base": 3 } }"#).dry, Dry { base: 3.0, ..dry });
}

#[test]
fn values_of_javascript_are_read_and_stay_in_their_ranges() {
    let options = read(
        r#"{ "share": 0.999999999, "fewest": 1e15, "key": 9007199254740991, "isStrict": false, "overflow": "slide",
             "banned": ["a"], "weights": [[3, 1e300]], "dry": { "multiplier": 0.8, "allowedLength": 4, "breakers": [] } }"#,
    );
    assert!(options.share < 1.0 && options.share > 0.9999);
    assert_eq!((options.fewest, options.key, options.is_strict), (u32::MAX, (1 << 53) - 1, false));
    assert_eq!((options.overflow, options.banned.as_slice()), (Overflow::Slide, &["a".to_owned()][..]));
    assert_eq!(options.weights, [(3, f32::MAX)]);
    assert_eq!(options.dry, Dry { multiplier: 0.8, base: 1.75, allowed_length: 4, breakers: Vec::new() });
    assert!(options.check().is_ok());
}

#[test]
fn what_is_out_of_range_is_named() {
    let with = |change: fn(&mut SamplingOptions)| {
        let mut options = SamplingOptions::default();
        change(&mut options);
        options.check().expect_err("out of range").message
    };
    assert_eq!(with(|o| o.share = 1.0), "share is 1; it must be at least 0 and below 1.");
    assert_eq!(with(|o| o.key = 1 << 53), "key is 9007199254740992; it must be below 2^53.");
    assert_eq!(with(|o| o.banned.push(String::new())), "banned holds an empty string, which is in every text.");
    assert_eq!(with(|o| o.weights.push((7, f32::NAN))), "weights of token 7 is NaN; it must be a finite number.");
    assert_eq!(with(|o| o.dry.base = 0.5), "dry.base is 0.5; it must be at least 1.");
    assert_eq!(with(|o| o.dry.allowed_length = 0), "dry.allowedLength is 0; it must be at least 1.");
}

/// Each number is where the shader looks for it.
#[cfg(feature = "native-gpu")]
#[test]
fn the_shaders_get_every_number() {
    use wgpu::naga::{TypeInner, front::wgsl};

    let module = wgsl::parse_str(include_str!(concat!(env!("OUT_DIR"), "/test_options.wgsl"))).expect("WGSL");
    let (_, ty) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Sampling")).expect("the struct");
    let TypeInner::Struct { members, span } = &ty.inner else { panic!("no struct") };
    let options = read(
        r#"{ "share": 0.5, "fewest": 6, "key": 4294967298, "isStrict": true, "overflow": "slide",
             "dry": { "multiplier": 0.75, "base": 2, "allowedLength": 4 } }"#,
    );
    let words = words(&options, 99, 1, 13, 7);
    assert!(words.len() * 4 >= *span as usize && words.len().is_multiple_of(4));
    let found: Vec<_> =
        members.iter().map(|m| (m.name.as_deref().unwrap_or_default(), words[m.offset as usize / 4])).collect();
    let float = f32::to_bits;
    let wanted = [
        ("key", 2),
        ("real_ids", 99),
        ("keeps_all", 1),
        ("prompt", 13),
        ("begin", 7),
        ("share", float(0.5)),
        ("fewest", 6),
        ("is_strict", 1),
        ("overflow", 1),
        ("dry_multiplier", float(0.75)),
        ("dry_base", float(2.0)),
        ("dry_allowed_length", 4),
    ];
    assert_eq!(found, wanted);
    assert_eq!(words[members[0].offset as usize / 4 + 1], 1, "the upper half of key");
}
