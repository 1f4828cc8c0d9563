//! Registries for tests: Debian's docker-registry, and servers of our own that lie, each in a
//! network namespace of its test's.

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Moves this thread, and what it starts from now on, into a network namespace with `lo` alone.
pub fn own_network() {
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "busybox ip link set lo up && echo up && exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut line = String::new();
    let stdout = holder.stdout.take().expect("stdout");
    BufReader::new(stdout).read_line(&mut line).expect("read");
    assert_eq!(line, "up\n");
    let namespace = File::open(format!("/proc/{}/ns/net", holder.id())).expect("open");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
    holder.kill().expect("kill");
    holder.wait().expect("wait");
}

/// Runs a command of a peer, which must succeed; what it says.
pub fn peer(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{program} is not installed: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Debian's docker-registry.
pub struct Registry {
    pub folder: PathBuf,
    child: Option<Child>,
}

impl Registry {
    /// At 127.0.0.1:5000, with more lines for the section `http:` and more sections.
    pub fn start(folder: &Path, http: &str, more: &str) -> Registry {
        Registry::start_at("127.0.0.1:5000", folder, http, more)
    }

    /// The same at another address of port 5000.
    pub fn start_at(address: &str, folder: &Path, http: &str, more: &str) -> Registry {
        let folder = folder.join("registry");
        std::fs::create_dir_all(folder.join("data")).expect("mkdir");
        let data = folder.join("data");
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: {address}\n{http}\n{more}\n",
            data.display()
        );
        std::fs::write(folder.join("config.yml"), config).expect("write");
        let mut registry = Registry { folder, child: None };
        registry.resume();
        registry
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.expect("log");
        let child = Command::new("docker-registry")
            .args(["serve", &self.folder.join("config.yml").to_string_lossy()])
            .stdout(log.try_clone().expect("dup"))
            .stderr(log)
            .spawn()
            .expect("docker-registry is not installed");
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect("127.0.0.1:5000").is_err() {
            assert!(Instant::now() < end, "docker-registry does not come up: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// How often it was asked for something since the log had this length.
    pub fn count(&self, what: &str) -> usize {
        let ours = |line: &&str| line.contains("coracle/") && line.contains(what);
        self.log().lines().filter(ours).count()
    }

    /// Pushes an image of an OCI layout with skopeo.
    pub fn push(&self, layout: &Path, tag: &str, name: &str) {
        let from = format!("oci:{}:{tag}", layout.display());
        let to = format!("docker://127.0.0.1:5000/{name}");
        let words = ["copy", "-q", "--all", "--insecure-policy", "--dest-tls-verify=false"];
        peer("skopeo", &[&words[..], &[&from, &to]].concat());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    // The tests have no library for it; coreutils do.
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum");
    child.stdin.take().expect("stdin").write_all(bytes).expect("write");
    let output = child.wait_with_output().expect("wait");
    format!("sha256:{}", String::from_utf8_lossy(&output.stdout).split(' ').next().expect("digest"))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).expect("gzip");
    gz.finish().expect("gzip")
}

/// A tar of one file with this content.
pub fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content).expect("tar");
    tar.into_inner().expect("tar")
}

/// Bytes that do not pack.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An image as blobs.
#[derive(Clone)]
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()})
}

impl Image {
    /// Of these tars, for a CPU.
    pub fn new(tars: &[Vec<u8>], architecture: &str) -> Image {
        let layers: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let diffs: Vec<String> = tars.iter().map(|tar| sha256(tar)).collect();
        let config = json!({
            "created": "2023-11-14T22:13:20Z", "architecture": architecture, "os": "linux",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        });
        let config = config.to_string().into_bytes();
        let list: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config), "layers": list,
        });
        let manifest = manifest.to_string().into_bytes();
        Image { layers, config, manifest }
    }

    /// busybox, for this CPU.
    pub fn busybox() -> Image {
        Image::new(&[super::busybox_tar()], architecture())
    }

    pub fn id(&self) -> String {
        sha256(&self.config)
    }

    pub fn digest(&self) -> String {
        sha256(&self.manifest)
    }

    fn blobs(&self) -> Vec<&Vec<u8>> {
        self.layers.iter().chain([&self.config, &self.manifest]).collect()
    }
}

/// This CPU, as Go calls it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Writes an OCI layout: tags with images, or with indexes of several.
pub fn layout(folder: &Path, tags: &[(&str, &[(&str, &Image)])]) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("mkdir");
    let write = |bytes: &[u8]| {
        let digest = sha256(bytes);
        std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).expect("write");
    };
    let mut list = Vec::new();
    for (tag, images) in tags {
        images.iter().flat_map(|(_, image)| image.blobs()).for_each(|blob| write(blob));
        let (kind, bytes) = match images {
            [("", image)] => (MANIFEST, image.manifest.clone()),
            images => (INDEX, index(images)),
        };
        write(&bytes);
        let mut entry = descriptor(kind, &bytes);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        list.push(entry);
    }
    let index = json!({"schemaVersion": 2, "manifests": list});
    std::fs::write(folder.join("index.json"), index.to_string()).expect("write");
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write");
}

/// An index of images for `OS/CPU[/VARIANT]`.
pub fn index(images: &[(&str, &Image)]) -> Vec<u8> {
    let entry = |(platform, image): &(&str, &Image)| {
        let mut words = platform.split('/');
        let mut word = || words.next().unwrap_or_default();
        let mut entry = descriptor(MANIFEST, &image.manifest);
        entry["platform"] = json!({"os": word(), "architecture": word(), "variant": word()});
        entry
    };
    let list: Vec<Value> = images.iter().map(entry).collect();
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": list}).to_string().into_bytes()
}

/// One request that a server of ours got.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let is = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(is).map(|(_, value)| value.as_str())
    }
}

/// A server of ours. What it was asked is kept.
pub struct Server {
    pub address: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// At this address (`127.0.0.1:5000`): `answer` writes what it likes.
    pub fn start(
        address: &str,
        answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind(address).expect("bind");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let address = listener.local_addr().expect("address").to_string();
        let (log, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || {
                    if let Some(request) = read_request(&stream) {
                        log.lock().expect("lock").push(request.clone());
                        answer(&request, &mut stream);
                    }
                });
            }
        });
        Server { address, asked }
    }

    pub fn log(&self) -> Vec<Asked> {
        self.asked.lock().expect("lock").clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut asked = Asked { method: words.next()?, target: words.next()?, ..Asked::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// Sends an answer with these header lines.
pub fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
}

/// Answers as a registry with this image does; false when it is asked for something else.
pub fn serve(image: &Image, asked: &Asked, stream: &mut TcpStream) -> bool {
    let target = asked.target.as_str();
    if target.contains("/manifests/") {
        reply(stream, "200 OK", &format!("Content-Type: {MANIFEST}\r\n"), &image.manifest);
        return true;
    }
    let Some((_, digest)) = target.split_once("/blobs/") else {
        return false;
    };
    let blobs = image.blobs();
    let Some(blob) = blobs.into_iter().find(|blob| sha256(blob) == digest) else {
        return false;
    };
    let from = asked
        .header("range")
        .and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from {
        Some(from) => {
            let range =
                format!("Content-Range: bytes {from}-{}/{}\r\n", blob.len() - 1, blob.len());
            reply(stream, "206 Partial Content", &range, &blob[from..]);
        }
        None => reply(stream, "200 OK", "", blob),
    }
    true
}
