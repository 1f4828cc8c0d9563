//! A registry that lies: each lie is a clear error within bounded time and memory, and nothing of it
//! is left. That credentials go to nobody else is tested in `registry_auth`.

#![allow(clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::registry::{
    Asked, CONFIG, INDEX, Image, LAYER, MANIFEST, Server, architecture, descriptor, gzip, noise,
    own_network, reply, serve, sha256, tar_of,
};
use support::{Done, World, binary};

const NAME: &str = "127.0.0.1:5000/x:1";

/// A pull that may use 48 MB of addresses and has little patience.
fn pull(world: &World) -> Done {
    let mut command = Command::new("sh");
    let script = format!("ulimit -v 49152; exec {} pull {NAME}", binary().display());
    command
        .args(["-c", &script])
        .env("CORACLE_ROOT", world.root())
        .env("CORACLE_RUN", world.run_folder())
        .env("CORACLE_REGISTRY_PATIENCE", "1")
        .env("HOME", "/nonexistent");
    command.output().expect("start").into()
}

/// What a lie must end in.
fn refused(world: &World, what: &str, wants: &[&str]) {
    let begin = Instant::now();
    let done = pull(world);
    let took = begin.elapsed();
    assert_eq!(done.code, 1, "{what}: {done:?}");
    assert!(wants.iter().any(|want| done.err.contains(want)), "{what}: {done:?}");
    let lines: Vec<&str> = done.err.lines().collect();
    assert!(lines.len() == 1 && lines[0].len() < 700, "{what}: {done:?}");
    assert!(!done.err.chars().any(|c| c.is_control() && c != '\n'), "{what}: {done:?}");
    assert!(took < Duration::from_secs(25), "{what} took {took:?}");
    for folder in ["layers", "images", "names", "work"] {
        let count = std::fs::read_dir(world.root().join(folder)).map_or(0, Iterator::count);
        assert_eq!(count, 0, "{what} left something in {folder}");
    }
}

type Answer = Box<dyn Fn(&Asked, &mut TcpStream) + Send + Sync>;

/// Each case in a network of its own.
fn cases(list: Vec<(&str, &[&str], Answer)>) {
    for (what, wants, answer) in list {
        own_network();
        let world = World::empty();
        let _server = Server::start("127.0.0.1:5000", answer);
        refused(&world, what, wants);
        world.finish();
    }
}

/// A server with this image, changed.
fn with(image: Image) -> Answer {
    Box::new(move |asked, stream| {
        if !serve(&image, asked, stream) {
            reply(stream, "404 Not Found", "", b"");
        }
    })
}

/// busybox with another manifest.
fn manifest(change: impl Fn(&mut Value)) -> Answer {
    let mut image = Image::busybox();
    let mut value: Value = serde_json::from_slice(&image.manifest).expect("JSON");
    change(&mut value);
    image.manifest = value.to_string().into_bytes();
    with(image)
}

/// busybox with another configuration, rightly named.
fn config(change: impl Fn(&mut Value)) -> Answer {
    let mut image = Image::busybox();
    let mut value: Value = serde_json::from_slice(&image.config).expect("JSON");
    change(&mut value);
    image.config = value.to_string().into_bytes();
    let mut manifest: Value = serde_json::from_slice(&image.manifest).expect("JSON");
    manifest["config"] = descriptor(CONFIG, &image.config);
    image.manifest = manifest.to_string().into_bytes();
    with(image)
}

/// busybox, but the layer is answered so.
fn layer(answer: impl Fn(&Asked, &mut TcpStream, &[u8]) + Send + Sync + 'static) -> Answer {
    let image = Image::busybox();
    let digest = sha256(&image.layers[0]);
    Box::new(move |asked, stream| {
        if asked.target.ends_with(&digest) {
            answer(asked, stream, &image.layers[0]);
        } else {
            serve(&image, asked, stream);
        }
    })
}

#[test]
fn documents() {
    let typed = |kind: &'static str| -> Answer {
        Box::new(move |asked, stream| {
            let header = format!("Content-Type: {kind}\r\n");
            if asked.target.contains("/manifests/") {
                return reply(stream, "200 OK", &header, &Image::busybox().manifest);
            }
            serve(&Image::busybox(), asked, stream);
        })
    };
    let text = |body: Vec<u8>| -> Answer {
        Box::new(move |_, stream| {
            reply(stream, "200 OK", &format!("Content-Type: {MANIFEST}\r\n"), &body);
        })
    };
    let deep = [b"{\"schemaVersion\":".repeat(100_000), b"1".to_vec()].concat();
    let arrays = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    cases(vec![
        ("an index that is a manifest", &["not of the type", "another type"], typed(INDEX)),
        (
            "schema 1",
            &["schema 1"],
            typed("application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ),
        ("JSON that is deep", &["manifest sha256:"], text(deep)),
        ("arrays that are deep", &["manifest sha256:"], text(arrays)),
        ("no JSON", &["manifest sha256:"], text(b"\x1b[2J<html>".to_vec())),
        ("nothing", &["manifest sha256:"], text(Vec::new())),
        ("an index and a manifest", &["also an index"], manifest(|m| m["manifests"] = json!([]))),
        ("no layers", &["not that of an image"], manifest(|m| drop(m["layers"].take()))),
        (
            "a chart",
            &["unsupported media type"],
            manifest(|m| {
                m["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")
            }),
        ),
        (
            "a layer of nobody's type",
            &["unsupported media type"],
            manifest(|m| m["layers"][0]["mediaType"] = json!("application/\u{1b}[31mx")),
        ),
        (
            "an encrypted layer",
            &["unsupported media type"],
            manifest(|m| m["layers"][0]["mediaType"] = json!(format!("{LAYER}+encrypted"))),
        ),
        (
            "a digest that leaves the folder",
            &["digest"],
            manifest(|m| m["layers"][0]["digest"] = json!("sha256:../../../etc/passwd")),
        ),
        (
            "a size that is wrong",
            &["not as long as", "longer than"],
            manifest(|m| m["layers"][0]["size"] = json!(5)),
        ),
        (
            "a size that is too large",
            &["not as long as"],
            manifest(|m| m["layers"][0]["size"] = json!(1 << 20)),
        ),
        (
            // Refused before the first byte.
            "a size that no disk has",
            &["no space left"],
            manifest(|m| m["layers"][0]["size"] = json!(u64::MAX)),
        ),
        (
            "a size that is negative",
            &["number out of range"],
            manifest(|m| m["layers"][0]["size"] = json!(-1)),
        ),
        (
            "a thousand layers",
            &["more than 500 layers"],
            manifest(|m| {
                let one = m["layers"][0].clone();
                m["layers"] = json!(vec![one; 1000]);
            }),
        ),
        (
            "more layers than diff ids",
            &["has 1 layers, and the manifest 2"],
            manifest(|m| {
                let one = m["layers"][0].clone();
                m["layers"] = json!([one.clone(), one]);
            }),
        ),
        (
            "a configuration of another system",
            &["operating system \"plan9\""],
            config(|c| c["os"] = json!("plan9")),
        ),
        (
            "a diff id that is wrong",
            &["verification failed"],
            config(|c| {
                c["rootfs"]["diff_ids"] = json!([sha256(b"x")]);
            }),
        ),
        ("a configuration that is another", &["verification failed"], {
            let image = Image::busybox();
            let id = image.id();
            Box::new(move |asked, stream| match asked.target.ends_with(&id) {
                true => reply(stream, "200 OK", "", &vec![b' '; image.config.len()]),
                false => drop(serve(&image, asked, stream)),
            })
        }),
        ("a tag whose digest is said wrongly", &["manifest verification failed"], {
            let image = Image::busybox();
            Box::new(move |_, stream| {
                let digest = sha256(b"another");
                let header =
                    format!("Content-Type: {MANIFEST}\r\nDocker-Content-Digest: {digest}\r\n");
                reply(stream, "200 OK", &header, &image.manifest);
            })
        }),
        ("an index that leads to another manifest", &["manifest verification failed"], {
            let image = Image::busybox();
            let platform = format!("linux/{}", architecture());
            let index = support::registry::index(&[(&platform, &image)]);
            Box::new(move |asked, stream| match asked.target.ends_with("/1") {
                true => reply(stream, "200 OK", &format!("Content-Type: {INDEX}\r\n"), &index),
                false => reply(stream, "200 OK", &format!("Content-Type: {MANIFEST}\r\n"), b"{}"),
            })
        }),
        ("an index that is its own", &["manifest verification failed", "no matching manifest"], {
            Box::new(|_, stream| {
                let mut entry = descriptor(INDEX, b"x");
                entry["platform"] = json!({"os": "linux", "architecture": architecture()});
                let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
                let header = format!("Content-Type: {INDEX}\r\n");
                reply(stream, "200 OK", &header, index.to_string().as_bytes());
            })
        }),
    ]);
}

#[test]
fn layers() {
    let two = Image::new(&[tar_of("a", b"1"), tar_of("b", b"2")], architecture());
    let mut order = two.clone();
    let mut value: Value = serde_json::from_slice(&two.manifest).expect("JSON");
    let list = value["layers"].as_array_mut().expect("layers");
    list.reverse();
    order.manifest = value.to_string().into_bytes();
    let zeros = vec![0; 300 << 20];
    let mut bomb = Image::busybox();
    bomb.layers = vec![gzip(&zeros)];
    let mut value: Value = serde_json::from_slice(&bomb.manifest).expect("JSON");
    value["layers"][0] = descriptor(LAYER, &bomb.layers[0]);
    bomb.manifest = value.to_string().into_bytes();
    let chunked = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    };
    cases(vec![
        ("other bytes", &["verification failed", "damaged", "archive"], {
            layer(|_, stream, bytes| {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                reply(stream, "200 OK", "", &bytes);
            })
        }),
        (
            "the same content, packed by another",
            &["verification failed"],
            layer(|_, stream, bytes| {
                // The byte that names the system that packed it.
                let mut bytes = bytes.to_vec();
                bytes[9] ^= 1;
                reply(stream, "200 OK", "", &bytes);
            }),
        ),
        (
            "another layer",
            &["not as long as"],
            layer(|_, stream, _| {
                reply(stream, "200 OK", "", &gzip(&tar_of("x", b"evil")));
            }),
        ),
        ("another order", &["verification failed"], with(order)),
        ("a bomb of zeros", &["verification failed"], with(bomb)),
        ("one that has no end", &["longer than the manifest says", "archive"], {
            layer(move |_, stream, bytes| {
                chunked(stream);
                let piece = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                while stream.write_all(&piece).is_ok() {}
            })
        }),
        (
            "one that never comes",
            &["layer"],
            layer(|_, stream, _| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5");
                std::thread::sleep(Duration::from_secs(20));
            }),
        ),
        (
            "one that drips",
            &["too slow", "read layer"],
            layer(|_, stream, bytes| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                let _ = stream.write_all(head.as_bytes());
                for byte in bytes {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }),
        ),
        (
            "a range that begins elsewhere",
            &["not the range"],
            layer(|asked, stream, bytes| {
                if asked.header("range").is_none() {
                    return cut(stream, bytes, 100_000);
                }
                let range =
                    format!("Content-Range: bytes 0-{}/{}\r\n", bytes.len() - 1, bytes.len());
                reply(stream, "206 Partial Content", &range, bytes);
            }),
        ),
        (
            "a range of something longer",
            &["not the range"],
            layer(|asked, stream, bytes| {
                if asked.header("range").is_none() {
                    return cut(stream, bytes, 100_000);
                }
                let range = "Content-Range: bytes 100000-999999999/1000000000\r\n";
                reply(stream, "206 Partial Content", range, &bytes[100_000..]);
            }),
        ),
        ("a range with other bytes", &["verification failed", "damaged", "archive"], {
            layer(|asked, stream, bytes| {
                let Some(from) = asked.header("range") else { return cut(stream, bytes, 100_000) };
                let from = from.trim_start_matches("bytes=").trim_end_matches('-');
                let from: usize = from.parse().expect("a number");
                let length = bytes.len();
                let range = format!("Content-Range: bytes {from}-{}/{length}\r\n", length - 1);
                reply(stream, "206 Partial Content", &range, &noise(3, length - from));
            })
        }),
        (
            "always a little less",
            &["ended too early", "read layer"],
            layer(|asked, stream, bytes| {
                let from = asked.header("range").map_or(0, |_| 1000);
                if from == 0 {
                    return cut(stream, bytes, 1000);
                }
                let length = bytes.len();
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1000-{}/{length}\r\n\
                 Content-Length: {}\r\n\r\n",
                    length - 1,
                    length - 1000
                );
                let _ = stream.write_all(head.as_bytes());
            }),
        ),
        (
            "something else entirely",
            &["has status 204"],
            layer(|_, stream, _| {
                reply(stream, "204 No Content", "", b"");
            }),
        ),
    ]);
}

/// So many bytes of a body that promised more.
fn cut(stream: &mut TcpStream, bytes: &[u8], at: usize) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&bytes[..at]);
}

#[test]
fn heads_and_redirects() {
    let always = |status: &'static str, headers: &'static str| -> Answer {
        Box::new(move |_, stream| reply(stream, status, headers, b""))
    };
    cases(vec![
        (
            "a loop of redirects",
            &["too many redirects"],
            always("307 Temporary Redirect", "Location: /v2/x/manifests/1\r\n"),
        ),
        (
            "a redirect to a file",
            &["bad address"],
            always("302 Found", "Location: file:///etc/passwd\r\n"),
        ),
        (
            "a redirect to another protocol",
            &["bad address"],
            always("301 Moved Permanently", "Location: gopher://127.0.0.1:70/x\r\n"),
        ),
        ("a redirect to nowhere", &["bad address"], always("302 Found", "Location: http://\r\n")),
        (
            "questions without end",
            &["unauthorized"],
            always("401 Unauthorized", "WWW-Authenticate: Negotiate\r\n"),
        ),
        ("come back next week", &["again in 604800 seconds"], {
            always("429 Too Many Requests", "Retry-After: 604800\r\n")
        }),
        ("faults without end", &["status 500"], always("500 Internal Server Error", "")),
        ("control characters", &["control character", "read answer", "http"], {
            always("404 Not Found", "X: \u{1}\r\n")
        }),
        ("a flood of headers", &["headers", "read answer", "http", "protocol"], {
            Box::new(|_, stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
                for n in 0..100_000 {
                    if stream.write_all(format!("X-{n}: y\r\n").as_bytes()).is_err() {
                        return;
                    }
                }
            })
        }),
        ("a header without end", &["head", "read answer", "header"], {
            Box::new(|_, stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
                while stream.write_all(&[b'x'; 4096]).is_ok() {}
            })
        }),
        ("a head that drips", &["too slow", "timeout", "nothing happened"], {
            Box::new(|_, stream| {
                for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(std::iter::repeat_n(&b'x', 500))
                {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            })
        }),
        ("no HTTP at all", &["head", "read answer", "http"], {
            Box::new(|_, stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")))
        }),
        ("a manifest of 100 MB", &["larger than"], {
            Box::new(|_, stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
                while stream.write_all(&[b' '; 65536]).is_ok() {}
            })
        }),
        ("a manifest without end", &["larger than"], {
            Box::new(|_, stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                while stream.write_all(&[b' '; 65536]).is_ok() {}
            })
        }),
    ]);
}

#[test]
fn later_is_not_never() {
    own_network();
    let world = World::empty();
    let count = Arc::new(AtomicUsize::new(0));
    let image = Image::busybox();
    // Every second answer is a "later" or a fault.
    let _server = Server::start("127.0.0.1:5000", move |asked, stream| {
        match count.fetch_add(1, Ordering::Relaxed) % 6 {
            1 => reply(stream, "429 Too Many Requests", "Retry-After: 1\r\n", b""),
            3 => reply(stream, "503 Service Unavailable", "", b""),
            5 => reply(stream, "502 Bad Gateway", "", b""),
            _ => drop(serve(&image, asked, stream)),
        }
    });
    let begin = Instant::now();
    let done = pull(&world);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(begin.elapsed() > Duration::from_secs(1), "Retry-After was not heeded");
    world.finish();
}

#[test]
fn lists_without_end() {
    own_network();
    let world = World::empty();
    let _server = Server::start("127.0.0.1:5000", |asked, stream| {
        let next = match asked.target.contains("/evil/") {
            true => "Link: <http://127.0.0.2/v2/>; rel=\"next\"\r\n",
            false => "Link: </v2/x/tags/list>; rel=\"next\"\r\n",
        };
        reply(stream, "200 OK", next, br#"{"tags":["a"]}"#);
    });
    for (name, want) in [("x", "it does not end"), ("evil/x", "goes on at another server")] {
        let done = world.coracle(&["pull", "-a", &format!("127.0.0.1:5000/{name}")]);
        assert!(done.code == 1 && done.err.contains(want), "{done:?}");
    }
    world.finish();
}
