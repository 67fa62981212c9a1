//! What an answer of a hub or a host means: which error it is, whether to retry, and whether a stored copy may be used
//! instead. Nothing is requested here.

use super::Location;
use super::retry::{Again, asked};
use crate::error::{Error, ErrorCode, ErrorKind};

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// A static host, by a folder's address.
    Folder,
    /// The hub's endpoint.
    Hub,
    /// Where the hub's endpoint has just redirected to.
    Storage,
    /// The same, by an address that the endpoint gave some time ago.
    Remembered,
}

/// An answer, as far as it shows what is wrong. Headers that this origin may not see count as missing.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// What was asked for: a file's name, or words.
    pub what: &'a str,
    /// Where: a folder's address, or `owner/name on host`.
    pub place: &'a str,
    /// Who answers.
    pub host: Host,
    /// The HTTP status.
    pub status: u16,
    /// A token was sent.
    pub has_token: bool,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `X-Error-Code`, which decides before the status.
    pub error_code: Option<&'a str>,
    /// `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// `RateLimit`.
    pub rate_limit: Option<&'a str>,
}

/// What is wrong with an answer.
#[derive(Debug)]
pub struct Refusal {
    /// The error to report if it stays so.
    pub error: Error,
    /// When to try again.
    pub again: Again,
}

impl Answer<'_> {
    /// What is wrong, if anything.
    pub fn refusal(&self) -> Option<Refusal> {
        let Self { what, status, .. } = *self;
        // Single-page hosts answer every missing path with their index page.
        if status == 200 && self.content_type.is_some_and(|t| t.starts_with("text/html")) {
            let error = format!("There is no {what} at {}: the server answered with a page.", self.place);
            let error = Error::new(ErrorCode::ModelNotFound, error).hint("Check the model's address.");
            return Some(Refusal { error, again: Again::Never });
        }
        if status == 416 {
            let error = Error::new(ErrorCode::Integrity, format!("{what} is shorter than was said (HTTP 416)."))
                .hint("Try again; if it stays so, the file on the server is damaged.");
            return Some(Refusal { error, again: Again::Never });
        }
        let error = self.error()?;
        let again = match (status, self.host) {
            (429, _) => Again::Limited(asked(self.retry_after, self.rate_limit)),
            _ if self.error_code.is_some() => Again::Never,
            (400..=403, Host::Remembered) => Again::Now,
            (400..=403, Host::Storage) | (408 | 425 | 500.., _) => Again::Later,
            _ => Again::Never,
        };
        Some(Refusal { error, again })
    }

    fn error(&self) -> Option<Error> {
        let Self { what, place, status, has_token, .. } = *self;
        let new = |code, sentence: String, hint: &str| Some(Error::new(code, sentence).hint(hint));
        let no_repository = || {
            let sentence = format!("There is no repository {place}, or it is private (HTTP {status}).");
            let hint = match has_token {
                true => "Check the spelling, and that the token may read it.",
                false => {
                    "Check the spelling; a private repository needs the token option, and a folder of this site a \
                     name that begins with \"./\" or \"/\"."
                }
            };
            new(ErrorCode::ModelNotFound, sentence, hint)
        };
        match self.error_code {
            Some("RepoNotFound") => return no_repository(),
            Some("RevisionNotFound") => {
                let sentence = format!("The repository {place} has no such revision (HTTP {status}).");
                return new(ErrorCode::ModelNotFound, sentence, "Check the revision: a branch, tag or commit.");
            }
            Some("EntryNotFound") => {
                let sentence = format!("The repository {place} has no file {what} (HTTP {status}).");
                return new(ErrorCode::ModelNotFound, sentence, "Check the name and the revision.");
            }
            Some("GatedRepo") => {
                let sentence = format!("The repository {place} is gated (HTTP {status}).");
                let hint = "Accept its conditions on the hub and pass a token that has access.";
                return new(ErrorCode::Unauthorized, sentence, hint);
            }
            _ => {}
        }
        match (status, self.host) {
            (200..=299, _) => None,
            // A reader with permission is never refused there: what is refused is the hub's own signature.
            (400..=403, Host::Storage | Host::Remembered) => new(
                ErrorCode::Network,
                format!(
                    "The hub's storage refused the address of {what} that the hub itself had given (HTTP {status})."
                ),
                "Try again later: this is the hub's fault, and no token helps.",
            ),
            // This is how the hub answers requests for a repository that it does not have.
            (401, Host::Hub) if !has_token => no_repository(),
            (401, Host::Hub) => new(
                ErrorCode::Unauthorized,
                format!("The hub does not accept the access token (HTTP {status})."),
                "Correct the token, or leave it out: a public model needs none.",
            ),
            (403, Host::Hub) => new(
                ErrorCode::Unauthorized,
                format!("Access to {what} of {place} was refused (HTTP {status})."),
                if has_token { "The token has no access to it." } else { "Pass a token that has access." },
            ),
            (401 | 403, _) => new(
                ErrorCode::Unauthorized,
                format!("The host refuses access to {what} at {place} (HTTP {status})."),
                "Check the address. Tokens are sent to hubs only, by a repository's name.",
            ),
            (404 | 410, _) => new(
                ErrorCode::ModelNotFound,
                format!("There is no {what} at {place} (HTTP {status})."),
                "Check the name or address and the revision.",
            ),
            (429, _) => new(
                ErrorCode::RateLimited,
                "The hub asks to wait before more is requested (HTTP 429).".into(),
                "Try again in a few minutes: what is stored is not downloaded again. With a token the limit is higher.",
            ),
            (500.., _) => new(
                ErrorCode::Network,
                format!("{what} could not be fetched: the server has a fault of its own (HTTP {status})."),
                "Try again later: what is stored is not downloaded again.",
            ),
            _ => new(ErrorCode::Network, format!("{what} could not be fetched (HTTP {status})."), "Try again."),
        }
    }
}

/// The error of a request for `what` at `url` that got no answer. `own_origin` is that of the page.
pub fn unreachable(what: &str, url: &str, own_origin: &str, is_offline: bool) -> Error {
    if url.starts_with("file:") {
        let error = format!("{what} was looked for at {url}, and pages may not read such addresses.");
        return Error::new(ErrorCode::Network, error).hint(
            "Serve the page and the module's files from a web server. A bundler must copy them too: see docs/install.md.",
        );
    }
    if is_offline {
        let error = format!("This device is offline, so {what} could not be fetched.");
        return Error::new(ErrorCode::Network, error)
            .of_kind(ErrorKind::Offline)
            .hint("Connect to the internet and load again: what is stored is not downloaded again.");
    }
    let origin = origin(url);
    let host = host(url);
    let allows = if origin == own_origin { "" } else { " and that it allows other origins (CORS)" };
    Error::new(ErrorCode::Network, format!("{what} at {host} could not be fetched: the connection failed."))
        .of_kind(ErrorKind::Unreadable)
        .hint(format!(
            "Check the network, that {host} can be reached{allows}, then try again: what is stored is not downloaded again."
        ))
}

/// `https://host:1/a/b` is of the origin `https://host:1`.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    &url[..url[start..].find('/').map_or(url.len(), |at| start + at)]
}

/// The host of a URL, with its port.
pub fn host(url: &str) -> &str {
    origin(url).split_once("://").map_or(url, |(_, host)| host)
}

/// The error of a place that has no weights. `is_embedded`: it is where the build's own model should be.
pub fn nothing_there(location: &Location, is_embedded: bool) -> Error {
    let new = |sentence: String| Error::new(ErrorCode::ModelNotFound, sentence);
    match location {
        Location::Folder { url } if is_embedded => new(format!(
            "The embedded model is not at {url}, where the build of this module has it."
        ))
        .hint("Copy the folder models of the build to there: with npm it is node_modules/tokenformer-web/models."),
        Location::Folder { url } => {
            new(format!("There is neither a model.safetensors nor a pytorch_model.bin at {url}."))
                .hint("Check the address: it must be that of a folder with a model's files.")
        }
        Location::Repository { repository, .. } => {
            let sentence = format!("There is neither a model.safetensors nor a pytorch_model.bin in {location}.");
            new(sentence)
                .hint(format!("Check the name. A folder of this site is written with a dot: \"./{repository}\"."))
        }
    }
}

/// Why a stored copy is used instead of what `e` says is unavailable; `None` where it may not be used: then the error
/// alone says what is there now.
pub fn stored_instead(e: &Error) -> Option<String> {
    let why = match e.code {
        ErrorCode::Network if e.kind == ErrorKind::Offline => "This device is offline".to_owned(),
        ErrorCode::Network => "The server cannot be reached".to_owned(),
        ErrorCode::RateLimited => "The hub asks to wait before more is requested".to_owned(),
        ErrorCode::ModelNotFound | ErrorCode::Unauthorized => {
            format!("The model is no longer available there ({})", e.message.trim_end_matches('.'))
        }
        _ => return None,
    };
    Some(format!("{why}: this is the copy that was stored on an earlier visit."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorCode::{ModelNotFound, Network, RateLimited, Unauthorized};

    const PLAIN: Answer = Answer {
        what: "f",
        place: "o/n on hub.example",
        host: Host::Hub,
        status: 200,
        has_token: false,
        content_type: None,
        error_code: None,
        retry_after: None,
        rate_limit: None,
    };

    fn verdict(answer: Answer) -> Option<(ErrorCode, Again)> {
        answer.refusal().map(|r| (r.error.code, r.again))
    }

    #[test]
    fn statuses_and_codes() {
        use Host::{Folder, Hub, Remembered, Storage};
        for (host, status, error_code, want) in [
            (Hub, 200, None, None),
            (Storage, 206, None, None),
            (Hub, 401, Some("RepoNotFound"), Some((ModelNotFound, Again::Never))),
            (Hub, 404, Some("RevisionNotFound"), Some((ModelNotFound, Again::Never))),
            (Hub, 404, Some("EntryNotFound"), Some((ModelNotFound, Again::Never))),
            (Hub, 403, Some("GatedRepo"), Some((Unauthorized, Again::Never))),
            (Hub, 401, None, Some((ModelNotFound, Again::Never))),
            (Hub, 403, None, Some((Unauthorized, Again::Never))),
            (Folder, 401, None, Some((Unauthorized, Again::Never))),
            (Folder, 403, None, Some((Unauthorized, Again::Never))),
            (Storage, 403, None, Some((Network, Again::Later))),
            (Storage, 400, None, Some((Network, Again::Later))),
            (Remembered, 403, None, Some((Network, Again::Now))),
            (Folder, 404, None, Some((ModelNotFound, Again::Never))),
            (Storage, 404, None, Some((ModelNotFound, Again::Never))),
            (Hub, 429, None, Some((RateLimited, Again::Limited(None)))),
            (Hub, 429, Some("RateLimited"), Some((RateLimited, Again::Limited(None)))),
            (Hub, 500, None, Some((Network, Again::Later))),
            (Folder, 503, None, Some((Network, Again::Later))),
            (Hub, 418, None, Some((Network, Again::Never))),
        ] {
            assert_eq!(verdict(Answer { host, status, error_code, ..PLAIN }), want, "{host:?} {status} {error_code:?}");
        }
        let page = Answer { content_type: Some("text/html; charset=utf-8"), ..PLAIN };
        assert_eq!(verdict(page), Some((ModelNotFound, Again::Never)));
        assert_eq!(
            verdict(Answer { status: 429, ..page }),
            Some((RateLimited, Again::Limited(None))),
            "its body is HTML"
        );
    }

    #[test]
    fn a_bad_token_is_no_missing_model() {
        let e = Answer { status: 401, has_token: true, ..PLAIN }.refusal().expect("refused").error;
        assert_eq!(e.code, Unauthorized);
        assert!(e.to_string().contains("does not accept the access token"), "{e}");
        let e = Answer { status: 401, ..PLAIN }.refusal().expect("refused").error;
        assert!(e.to_string().contains("o/n on hub.example") && e.to_string().contains("private"), "{e}");
        let e = Answer { status: 403, host: Host::Storage, ..PLAIN }.refusal().expect("refused").error;
        assert!(!e.to_string().contains("ass a token"), "{e}");
    }

    #[test]
    fn what_cannot_be_reached() {
        let own = "https://site.example";
        let e = unreachable("config.json", "https://hub.example:1/o/n/resolve/main/config.json", own, false);
        assert!(
            e.kind == ErrorKind::Unreadable && e.to_string().contains("hub.example:1") && e.hint.contains("CORS"),
            "{e}"
        );
        let e = unreachable("config.json", "https://site.example/m/config.json", own, false);
        assert!(e.kind == ErrorKind::Unreadable && !e.hint.contains("CORS"), "{e}");
        let e = unreachable("config.json", "https://hub.example/config.json", own, true);
        assert!(e.kind == ErrorKind::Offline && e.message.contains("offline") && !e.hint.contains("CORS"), "{e}");
        let e = unreachable("config.json", "file:///home/me/models/config.json", own, false);
        assert!(e.kind == ErrorKind::Plain && e.message.contains("file:///home/me") && !e.hint.contains("CORS"), "{e}");
    }

    #[test]
    fn a_place_without_a_model_is_named() {
        let folder = Location::Folder { url: "https://site.example/models/x/".into() };
        let e = nothing_there(&folder, false);
        assert_eq!(e.code, ModelNotFound);
        assert!(e.message.contains("https://site.example/models/x/"), "{e}");
        let e = nothing_there(&folder, true);
        assert!(
            e.message.contains("https://site.example/models/x/") && e.hint.contains("tokenformer-web/models"),
            "{e}"
        );
        let (endpoint, repository, revision) = ("https://hub.example".into(), "models/x".into(), "main".into());
        let e = nothing_there(&Location::Repository { endpoint, repository, revision }, false);
        assert!(e.message.contains("models/x on hub.example") && e.hint.contains("\"./models/x\""), "{e}");
    }

    #[test]
    fn a_stored_copy_stands_in_for_what_is_gone_or_out_of_reach() {
        for (status, stands_in) in
            [(401, true), (403, true), (404, true), (410, true), (429, true), (500, true), (503, true), (416, false)]
        {
            let e = Answer { status, ..PLAIN }.refusal().expect("refused").error;
            let note = stored_instead(&e);
            assert_eq!(note.is_some(), stands_in, "{status}");
            assert!(note.is_none_or(|note| note.ends_with("stored on an earlier visit.")));
        }
        assert!(stored_instead(&unreachable("f", "https://h/f", "", true)).is_some_and(|n| n.contains("offline")));
        assert!(stored_instead(&Error::new(ErrorCode::Aborted, "Loading was aborted.")).is_none());
    }
}
