use super::*;
use crate::checkpoint::layout::TensorId;
use crate::checkpoint::regions::Region;
use crate::checkpoint::unit::Piece;
use crate::config::PartialConfig;
use crate::hash::sha256;
use crate::store::memory::{MemoryStore, record};
use crate::store::serve::{Version, Wanted};
use pollster::block_on;

fn unit(bytes: &[u8]) -> UnitRecord {
    let sha256 = sha256(bytes);
    UnitRecord { len: bytes.len() as u64, sha256, source_bytes: 9, pieces: Vec::new(), hash_state: String::new() }
}

async fn keep(cache: &mut Cache<MemoryStore>, n: usize) {
    let bytes = vec![n as u8; 10];
    cache.keep(n, unit(&bytes), bytes).await;
}

async fn stored(store: &MemoryStore, id: &str) -> Option<ModelRecord> {
    store.models().await.expect("models").into_iter().find(|m| m.key.id == id)
}

#[test]
fn what_was_kept_is_there_the_next_time() {
    block_on(async {
        let store = MemoryStore::default();
        let mut cache = Cache::open(store.clone(), record("o/a", 3), None, true).await;
        keep(&mut cache, 0).await;
        keep(&mut cache, 1).await;
        cache.complete(1.0).await;
        drop(cache);
        let existing = stored(&store, "o/a").await;
        assert_eq!(existing.as_ref().map(|m| (m.complete, m.bytes)), Some((false, 20)));

        let mut cache = Cache::open(store.clone(), record("o/a", 3), existing.as_ref(), true).await;
        assert!(cache.unit(1).is_some() && cache.unit(2).is_none() && !cache.is_complete());
        assert_eq!(cache.read(1).await, Some(vec![1; 10]));
        keep(&mut cache, 2).await;
        cache.complete(2.0).await;
        let existing = stored(&store, "o/a").await;
        assert_eq!(existing.as_ref().map(|m| (m.complete, m.bytes, m.last_used)), Some((true, 30, 2.0)));

        cache.forget(1..2).await;
        assert!(!cache.is_complete() && cache.read(1).await.is_none());
        let existing = stored(&store, "o/a").await;
        assert_eq!(existing.as_ref().map(|m| (m.complete, m.bytes)), Some((false, 20)));
    });
}

fn planned(id: &str, plan: &str) -> ModelRecord {
    let mut record = record(id, 2);
    record.key.plan = plan.into();
    record
}

#[test]
fn nothing_is_deleted_before_what_replaces_it_is_complete() {
    block_on(async {
        let store = MemoryStore::default();
        let mut first = Cache::open(store.clone(), planned("o/a", "first"), None, true).await;
        keep(&mut first, 0).await;
        keep(&mut first, 1).await;
        first.complete(1.0).await;
        let mut elsewhere = Cache::open(store.clone(), planned("o/b", "first"), None, true).await;
        keep(&mut elsewhere, 0).await;

        // Planned by a header that was garbled, or of other contents: a model of its own.
        let mut second = Cache::open(store.clone(), planned("o/a", "second"), None, true).await;
        assert!(second.unit(0).is_none(), "units of another plan are of no use");
        keep(&mut second, 0).await;
        let models = store.models().await.expect("models");
        assert_eq!(models.iter().filter(|m| m.key.id == "o/a" && m.complete).count(), 1);
        assert_eq!(first.read(1).await, Some(vec![1; 10]));

        // Either it turns out to be wrong, and leaves nothing, …
        second.forget(0..2).await;
        assert_eq!(store.models().await.expect("models").len(), 2);
        // … or it becomes complete, and the other one is deleted.
        let mut second = Cache::open(store.clone(), planned("o/a", "second"), None, true).await;
        keep(&mut second, 0).await;
        keep(&mut second, 1).await;
        second.complete(2.0).await;
        let models = store.models().await.expect("models");
        let left: Vec<_> = models.iter().map(|m| (m.key.id.as_str(), m.key.plan.as_str())).collect();
        assert_eq!(left, [("o/a", "second"), ("o/b", "first")]);
        assert_eq!(first.read(1).await, None);
    });
}

#[test]
fn a_load_with_a_config_leaves_the_model_as_it_was() {
    block_on(async {
        let store = MemoryStore::default();
        let mut cache = Cache::open(store.clone(), record("o/a", 1), None, true).await;
        keep(&mut cache, 0).await;
        cache.complete(1.0).await;
        let before = stored(&store, "o/a").await.expect("stored");
        let given = PartialConfig { rotary_pct: Some(0.5), ..PartialConfig::default() };
        for (config, rotary) in [(Some(&given), 0.5), (None, 0.25)] {
            let models = store.models().await.expect("models");
            let wanted = Wanted { endpoint: "https://hub.example", id: "o/a", quantization: None, config };
            let (found, shape) = wanted.find(&models, Version::Name("main")).expect("found");
            assert_eq!(shape.rotary_pct, rotary);
            let mut cache = Cache::open(store.clone(), found.clone(), Some(found), true).await;
            assert!(cache.is_complete() && cache.read(0).await.is_some());
            cache.complete(1.0).await;
            assert_eq!(stored(&store, "o/a").await.as_ref(), Some(&before));
        }
    });
}

#[test]
fn names_are_added_and_never_taken_away() {
    block_on(async {
        let store = MemoryStore::default();
        let mut cache = Cache::open(store.clone(), record("o/a", 1), None, true).await;
        keep(&mut cache, 0).await;
        cache.complete(1.0).await;
        let existing = stored(&store, "o/a").await.expect("stored");
        let mut again = record("o/a", 1);
        again.names = BTreeMap::from([("v1.0".to_owned(), 5.0)]);
        drop(Cache::open(store.clone(), again, Some(&existing), true).await);
        let names = stored(&store, "o/a").await.expect("stored").names;
        assert_eq!(names.keys().collect::<Vec<_>>(), ["main", "v1.0"]);
        let mut many = existing;
        many.add_names(&(0..99).map(|i| (format!("{i:02}"), f64::from(i))).collect());
        assert_eq!((many.names.len(), many.names.contains_key("98")), (32, true), "the newest of very many");
    });
}

#[test]
fn a_damaged_record_is_no_record() {
    block_on(async {
        let store = MemoryStore::default();
        let mut cache = Cache::open(store.clone(), record("o/a", 2), None, true).await;
        keep(&mut cache, 0).await;
        keep(&mut cache, 1).await;
        cache.complete(1.0).await;
        let key = record("o/a", 2).key;
        // A unit's: that unit is fetched again.
        store.damage(|place, text| {
            if place.ends_with("00000001") {
                *text = text.replace("\"source_bytes\":9", "\"source_bytes\":8");
            }
        });
        let existing = stored(&store, "o/a").await;
        let mut cache = Cache::open(store.clone(), record("o/a", 2), existing.as_ref(), true).await;
        assert!(cache.unit(0).is_some() && cache.unit(1).is_none() && !cache.is_complete());
        keep(&mut cache, 1).await;
        cache.complete(2.0).await;
        assert!(stored(&store, "o/a").await.is_some_and(|m| m.complete));
        // The model's: the units identify themselves.
        store.damage(|place, text| {
            if *place == key.text() {
                *text = text.replace("\"num_attention_heads\":12", "\"num_attention_heads\":24");
            }
        });
        assert_eq!(stored(&store, "o/a").await, None);
        let mut cache = Cache::open(store.clone(), record("o/a", 2), None, true).await;
        assert!(cache.unit(0).is_some() && cache.unit(1).is_some() && !cache.is_complete());
        cache.complete(3.0).await;
        assert!(stored(&store, "o/a").await.is_some_and(|m| m.complete && m.bytes == 20));
    });
}

#[test]
fn units_that_are_no_whole_model_are_not_loaded() {
    block_on(async {
        let config = ModelConfig::from_json(
            br#"{"num_layers":1,"hidden_size":32,"num_attention_heads":1,"qkv_slot_num":32,"proj_slot_num":32,
                "ffn_slot_num":32,"padded_vocab_size":32}"#,
        )
        .expect("config");
        let mut pieces = Vec::new();
        let mut at = 0;
        for id in tensors(&config) {
            for (region, bytes) in regions(id, &config, crate::checkpoint::layout::Quantization::Q4) {
                pieces.push(Piece { id, region, offset: 0, at, len: bytes as u32 });
                at += bytes as u32;
            }
        }
        let is_whole = async |change: &dyn Fn(&mut UnitRecord)| {
            let mut cache = Cache::open(MemoryStore::default(), record("o/a", 1), None, true).await;
            let mut unit = UnitRecord { len: u64::from(at), pieces: pieces.clone(), ..unit(&[]) };
            change(&mut unit);
            cache.keep(0, unit, Vec::new()).await;
            cache.is_whole(&config)
        };
        assert!(is_whole(&|_| ()).await);
        assert!(!is_whole(&|unit| unit.pieces.clear()).await, "a model of zeros");
        assert!(!is_whole(&|unit| unit.pieces[3].len -= 1).await);
        assert!(!is_whole(&|unit| unit.pieces[3].offset += 4).await);
        assert!(!is_whole(&|unit| unit.pieces[3].id = TensorId::Embedding).await);
        assert!(!is_whole(&|unit| unit.pieces[2].region = Region::Scales).await);
        assert!(!is_whole(&|unit| unit.len -= 1).await, "bytes that are not there");
    });
}

#[test]
fn a_full_storage_stops_nothing_and_leaves_nothing() {
    block_on(async {
        let store = MemoryStore::default();
        let mut other = Cache::open(store.clone(), record("o/b", 1), None, true).await;
        keep(&mut other, 0).await;
        store.limit(25);
        let mut cache = Cache::open(store.clone(), record("o/a", 3), None, true).await;
        for n in 0..3 {
            keep(&mut cache, n).await;
        }
        cache.complete(1.0).await;
        assert!(!cache.is_on() && cache.notes.len() == 1, "{:?}", cache.notes);
        assert!(cache.unit(2).is_some(), "hash states are still needed");
        assert!(stored(&store, "o/a").await.is_none());
        assert_eq!(other.read(0).await, Some(vec![0; 10]));
    });
}

#[test]
fn a_full_storage_neither_hides_nor_deletes_what_is_complete() {
    block_on(async {
        let store = MemoryStore::default();
        let mut cache = Cache::open(store.clone(), record("o/a", 2), None, true).await;
        keep(&mut cache, 0).await;
        keep(&mut cache, 1).await;
        cache.keep_tokenizer("hash", vec![1]).await;
        cache.complete(1.0).await;
        store.refuse_records(true);
        store.limit(0);
        let existing = stored(&store, "o/a").await;
        let mut cache = Cache::open(store.clone(), record("o/a", 2), existing.as_ref(), true).await;
        assert!(cache.is_complete() && cache.read(1).await.is_some() && cache.notes.is_empty());
        // A damaged unit is fetched again, and cannot be stored.
        keep(&mut cache, 1).await;
        cache.complete(2.0).await;
        assert_eq!(cache.notes.len(), 1);
        let now = stored(&store, "o/a").await;
        assert_eq!(now, existing, "nothing was lost");
        assert_eq!(store.units(&record("o/a", 2).key).await.expect("units").len(), 2);
    });
}

#[test]
fn what_was_deleted_meanwhile_is_not_called_complete() {
    block_on(async {
        let store = MemoryStore::default();
        let key = record("o/a", 2).key;
        let mut cache = Cache::open(store.clone(), record("o/a", 2), None, true).await;
        keep(&mut cache, 0).await;
        store.delete(&key).await.expect("deleted");
        keep(&mut cache, 1).await;
        cache.complete(1.0).await;
        assert_eq!(stored(&store, "o/a").await.map(|m| m.complete), Some(false));
        store.delete(&key).await.expect("deleted");
        cache.complete(2.0).await;
        assert_eq!(stored(&store, "o/a").await, None);
    });
}
