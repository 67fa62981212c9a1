//! Small things that are remembered between visits, each under a name that says what it depends on.

use super::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is remembered under a name, if that can be read.
pub async fn recall<T: DeserializeOwned>(store: &impl Store, name: &str) -> Option<T> {
    serde_json::from_str(&store.note(name).await.ok()??).ok()
}

/// Remembers it, unless the storage refuses: then it will be determined again.
pub async fn remember(store: &impl Store, name: &str, what: &impl Serialize) {
    if let Ok(json) = serde_json::to_string(what) {
        let _ = store.put_note(name, &json).await; // as above
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStore;
    use super::*;

    #[test]
    fn what_is_remembered_is_found_by_its_name_alone() {
        let store = MemoryStore::default();
        pollster::block_on(async {
            remember(&store, "a", &(1, true)).await;
            remember(&store, "b", &"text").await;
            assert_eq!(recall(&store, "a").await, Some((1, true)));
            assert_eq!(recall::<(u32, bool)>(&store, "b").await, None, "it has another form");
            assert_eq!(recall::<(u32, bool)>(&store, "c").await, None);
        });
    }
}
