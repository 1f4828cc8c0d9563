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
}
