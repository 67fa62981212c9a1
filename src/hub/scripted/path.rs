//! What a path asks for.

/// How something is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Revision,
    Tree,
    Resolve,
    Cached,
    Unknown,
}

/// What a path asks for: a call, of which repository, at which revision, and which file (or the query of a call).
pub fn parts(path: &str) -> (Call, &str, &str, &str) {
    let unknown = (Call::Unknown, "", "", "");
    let two = |text: &'_ str| text.match_indices('/').nth(1).map(|(at, _)| at);
    if let Some(rest) = path.strip_prefix("api/models/") {
        let Some(at) = two(rest) else { return unknown };
        let Some((call, revision)) = rest[at + 1..].split_once('/') else { return unknown };
        let (revision, query) = revision.split_once('?').unwrap_or((revision, ""));
        let call = match call {
            "revision" => Call::Revision,
            "tree" => Call::Tree,
            _ => Call::Unknown,
        };
        return (call, &rest[..at], revision, query);
    }
    let (call, rest) = match path.strip_prefix("api/resolve-cache/models/") {
        Some(rest) => (Call::Cached, rest),
        None => (Call::Resolve, path),
    };
    let Some(at) = two(rest) else { return unknown };
    let (name, rest) = (&rest[..at], &rest[at + 1..]);
    let rest = if call == Call::Resolve { rest.strip_prefix("resolve/") } else { Some(rest) };
    match rest.and_then(|rest| rest.split_once('/')) {
        Some((revision, file)) => (call, name, revision, file),
        None => unknown,
    }
}
