//! Names of images, as far as the client must understand them: name, and tag or digest.

/// `name[:tag][@digest]` → name, and what follows; `latest` when nothing does.
pub(crate) fn split(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (split(name).0, digest);
    }
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[last..].rfind(':') {
        Some(colon) => (&image[..last + colon], &image[last + colon + 1..]),
        None => (image, "latest"),
    }
}

/// The name with what follows it, for a message.
pub(crate) fn full(image: &str) -> String {
    match split(image) {
        _ if image.contains('@') => image.to_string(),
        (name, tag) => [name, ":", tag].concat(),
    }
}

/// The registry of a name: its host, or docker.io.
pub(crate) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// The name in full, with its registry: what docker prints at the end of `pull`.
pub(crate) fn canonical(image: &str, bare: bool) -> String {
    let text = if bare { image.to_string() } else { full(image) };
    match registry(image) {
        "docker.io" if image.starts_with("docker.io/") => text,
        "docker.io" if image.contains('/') => ["docker.io/", &text].concat(),
        "docker.io" => ["docker.io/library/", &text].concat(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (image, name, tag, shown) in [
            ("busybox", "busybox", "latest", "busybox:latest"),
            ("busybox:1", "busybox", "1", "busybox:1"),
            ("host:5000/a/b", "host:5000/a/b", "latest", "host:5000/a/b:latest"),
            ("host:5000/a/b:2", "host:5000/a/b", "2", "host:5000/a/b:2"),
            ("a@sha256:00", "a", "sha256:00", "a@sha256:00"),
            ("a:1@sha256:00", "a", "sha256:00", "a:1@sha256:00"),
        ] {
            assert_eq!((split(image), full(image).as_str()), ((name, tag), shown), "{image}");
        }
    }

    #[test]
    fn names_in_full() {
        for (image, want) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("a/b:1", "docker.io/a/b:1"),
            ("docker.io/library/x", "docker.io/library/x:latest"),
            ("127.0.0.1:5000/b:1", "127.0.0.1:5000/b:1"),
            ("localhost/b", "localhost/b:latest"),
        ] {
            assert_eq!(canonical(image, false), want);
        }
        assert_eq!(canonical("h:1/b", true), "h:1/b");
    }
}
