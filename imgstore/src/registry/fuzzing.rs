//! What `fuzz/` feeds: the pure functions that meet the bytes of registries first. Each of them judges
//! whatever comes; none may panic, and what is accepted must mean the same when it is written and read.

use super::{challenge, link, manifest, platform, policy, url::Url};
use crate::archive::documents;
use crate::reference::Reference;
use std::path::Path;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// `WWW-Authenticate`.
pub fn challenge(bytes: &[u8]) {
    let _ = challenge::parse(text(bytes));
}

/// `Link`.
pub fn link(bytes: &[u8]) {
    if let Some(next) = link::next(text(bytes)) {
        assert!(text(bytes).contains(next));
    }
}

/// Names of images.
pub fn reference(bytes: &[u8]) {
    if let Ok(name) = Reference::parse(text(bytes)) {
        let again = Reference::from_file_name(&name.file_name());
        let bare = Reference { digest: None, ..name.clone() };
        assert!(again == Some(name) || again == Some(bare));
    }
}

/// Manifests and indexes.
pub fn manifest(bytes: &[u8]) {
    let Ok(document) = documents::parse(bytes, "") else { return };
    if let Some(list) = &document.manifests {
        let _ = platform::choose(list, &platform::own());
    }
    for layer in document.layers.iter().flatten() {
        let _ = manifest::check_layer(layer);
    }
    let text = base::json::to_string(&document);
    let again = documents::parse(text.as_bytes(), "").ok();
    assert!(again == Some(document) || text.len() > bytes.len());
}

/// `policy.json`, for one name.
pub fn policy(bytes: &[u8]) {
    if let Ok(policy) = policy::Policy::parse(Path::new("p"), bytes)
        && let Ok(name) = Reference::parse("h.example:5000/a/b:1")
    {
        let _ = policy.of(Some(&name));
    }
}

/// An address, and in a second line one that is joined to it.
pub fn url(bytes: &[u8]) {
    let (first, second) = text(bytes).split_once('\n').unwrap_or((text(bytes), ""));
    let Ok(url) = Url::parse(first) else { return };
    assert!(Url::parse(&url.to_string()).is_ok_and(|again| again == url));
    if let Ok(joined) = url.join(second) {
        assert!(Url::parse(&joined.to_string()).is_ok_and(|again| again == joined));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_judged() {
        crate::fuzzing::tests::replay(&[
            ("challenge", super::challenge),
            ("link", super::link),
            ("manifest", super::manifest),
            ("policy", super::policy),
            ("reference", super::reference),
            ("url", super::url),
        ]);
    }
}
