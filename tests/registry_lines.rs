//! Pulls over bad lines: cut, slow, silent, and registries that go away. Between coracle and the
//! registry stands a proxy that does the harm.

#![allow(clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::registry::{Image, Registry, architecture, layout, noise, own_network, tar_of};
use support::{Done, World};

/// By the proxy, and straight.
const NAME: &str = "127.0.0.1:5001/image:1";
const STRAIGHT: &str = "127.0.0.1:5000/image:1";

/// A line to the registry.
struct Line {
    /// Bytes that came from the registry.
    bytes: Arc<AtomicU64>,
    /// Connections.
    count: Arc<AtomicUsize>,
}

/// What happens to a connection: bytes that pass, bytes a second (0: as fast as it goes), and
/// whether it is silent at the end instead of cut.
#[derive(Clone, Copy)]
struct Harm {
    pass: u64,
    speed: u64,
    silent: bool,
}

/// All connections together are cut after this.
const LIMIT: u64 = 3_600_000;
const LIMITED: Harm = Harm { pass: u64::MAX - 1, speed: 0, silent: false };
const NONE: Harm = Harm { pass: u64::MAX, speed: 0, silent: false };

impl Line {
    fn start(harm: impl Fn(usize) -> Harm + Send + Sync + 'static) -> Line {
        let listener = TcpListener::bind("127.0.0.1:5001").expect("bind");
        let line = Line { bytes: Arc::default(), count: Arc::default() };
        let (bytes, count) = (line.bytes.clone(), line.count.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let harm = harm(count.fetch_add(1, Ordering::Relaxed));
                let bytes = bytes.clone();
                // What is started from this thread has its network.
                std::thread::spawn(move || carry(stream, harm, &bytes));
            }
        });
        line
    }
}

fn carry(mut here: TcpStream, harm: Harm, total: &AtomicU64) {
    let Ok(mut there) = TcpStream::connect("127.0.0.1:5000") else { return };
    let (mut from, mut to) = (here.try_clone().expect("dup"), there.try_clone().expect("dup"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut left = harm.pass;
    // What this line lets through at all.
    let limit = if harm.pass == LIMITED.pass { LIMIT } else { u64::MAX };
    let mut piece = [0; 4096];
    while left > 0 && total.load(Ordering::Relaxed) < limit {
        let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(n) = there.read(&mut piece[..most]) else { break };
        if n == 0 || here.write_all(&piece[..n]).is_err() {
            break;
        }
        left -= n as u64;
        total.fetch_add(n as u64, Ordering::Relaxed);
        if let Some(micros) = (n as u64 * 1_000_000).checked_div(harm.speed) {
            std::thread::sleep(Duration::from_micros(micros));
        }
    }
    if harm.silent && left == 0 {
        std::thread::sleep(Duration::from_secs(60));
    }
    let _ = here.shutdown(Shutdown::Both);
    let _ = there.shutdown(Shutdown::Both);
}

/// An image of so many layers of this size, which does not pack.
fn image(layers: u64, size: usize) -> Image {
    let tar = |n| tar_of(&format!("file-{n}"), &noise(n, size));
    Image::new(&(0..layers).map(tar).collect::<Vec<_>>(), architecture())
}

fn start(image: &Image) -> (World, Registry) {
    own_network();
    let world = World::empty();
    let registry = Registry::start(&world.folder, "", "");
    let folder = world.folder.join("layout");
    layout(&folder, &[("1", &[("", image)])]);
    registry.push(&folder, "1", "image:1");
    (world, registry)
}

fn pull(world: &World, name: &str) -> Command {
    let mut command = world.command(&["pull", name]);
    command.env("CORACLE_REGISTRY_PATIENCE", "1");
    command
}

fn done(mut command: Command) -> Done {
    command.output().expect("start").into()
}

fn begun(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start")
}

/// How many layers are in their places.
fn layers(world: &World) -> usize {
    let Ok(found) = std::fs::read_dir(world.root().join("layers")) else { return 0 };
    found.flatten().filter(|entry| entry.path().join("record").exists()).count()
}

/// The image is here, whole: all layers and their contents.
fn is_whole(world: &World, name: &str, image: &Image) {
    assert_eq!(world.ok(&["inspect", "--format", "{{.Id}}", name]), image.id());
    assert_eq!(layers(world), image.layers.len());
    let tree = world.folder.join("tree");
    world.ok(&["imgstore", "checkout", name, &tree.to_string_lossy()]);
    for n in 0..image.layers.len() as u64 {
        let bytes = std::fs::read(tree.join(format!("file-{n}"))).expect("read");
        assert!(bytes == noise(n, bytes.len()), "file-{n}");
    }
    assert_eq!(std::fs::read_dir(world.root().join("work")).expect("read").count(), 0);
}

#[test]
fn fifty_cuts_at_random_bytes() {
    let image = image(12, 700_000);
    let (world, registry) = start(&image);
    let places = noise(7, 50 * 4);
    let line = Line::start(move |n| match places.get(n * 4..n * 4 + 4) {
        Some(four) => {
            let place = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            // Now and then before anything has come.
            Harm { pass: u64::from(place % 300_000).saturating_sub(10_000), ..NONE }
        }
        None => NONE,
    });
    // More cuts in a row than one pull puts up with end it; what came whole stays.
    let mut pulls = 0;
    loop {
        pulls += 1;
        let out = done(pull(&world, NAME));
        if out.code == 0 {
            break;
        }
        assert!(pulls < 10, "{out:?}");
        assert_eq!(out.err.lines().count(), 1, "{out:?}");
    }
    let cuts = line.count.load(Ordering::Relaxed);
    assert!(cuts >= 50, "{cuts} connections");
    is_whole(&world, NAME, &image);
    let size: usize = image.layers.iter().map(Vec::len).sum();
    let (bytes, most) = (line.bytes.load(Ordering::Relaxed), size as u64 * 5 / 4);
    // Heads, manifests, and what was on its way when a pull ended.
    assert!(bytes < most, "{bytes} bytes for {size}, in {pulls} pulls");
    drop(registry);
    world.finish();
}

#[test]
fn whole_layers_of_a_cut_pull_are_not_fetched_again() {
    let image = image(6, 1_000_000);
    let (world, registry) = start(&image);
    // Three layers and a half pass; then nothing does.
    let line = Line::start(|_| LIMITED);
    let out = done(pull(&world, NAME));
    assert_eq!(out.code, 1, "{out:?}");
    assert!(line.bytes.load(Ordering::Relaxed) > 1_000_000);
    let kept = layers(&world);
    assert!((1..6).contains(&kept), "{kept} layers were kept: {out:?}");
    assert_eq!(world.ok(&["images", "-q"]), "");
    let before = registry.count("/blobs/");
    let out = world.ok(&["pull", STRAIGHT]);
    assert_eq!(out.matches("Already exists").count(), kept, "{out}");
    assert_eq!(registry.count("/blobs/") - before, 1 + 6 - kept);
    is_whole(&world, STRAIGHT, &image);
    drop(registry);
    world.finish();
}

#[test]
fn a_registry_that_is_restarted() {
    let image = image(2, 14_000_000);
    let (world, mut registry) = start(&image);
    let line = Line::start(|_| Harm { speed: 10_000_000, ..NONE });
    let child = begun(pull(&world, NAME));
    world.until("half of it", || line.bytes.load(Ordering::Relaxed) > 3_000_000);
    registry.stop();
    std::thread::sleep(Duration::from_millis(150));
    registry.resume();
    let out = Done::from(child.wait_with_output().expect("wait"));
    assert_eq!(out.code, 0, "{out:?}");
    assert!(registry.log().contains("\" 206 "), "it went on where it was");
    is_whole(&world, NAME, &image);
    drop(registry);
    world.finish();
}

#[test]
fn one_that_stalls_ends_in_an_error() {
    let image = image(1, 1_000_000);
    let (world, registry) = start(&image);
    // Each time so much less than what counts as progress.
    let _line = Line::start(|_| Harm { pass: 5_000, silent: true, ..NONE });
    let begin = Instant::now();
    let out = done(pull(&world, NAME));
    assert_eq!(out.code, 1, "{out:?}");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(layers(&world), 0);
    drop(registry);
    world.finish();
}

#[test]
fn thirty_kilobytes_a_second_are_enough() {
    let image = image(2, 60_000);
    let (world, registry) = start(&image);
    let _line = Line::start(|_| Harm { speed: 15_000, ..NONE });
    let begin = Instant::now();
    let out = done(pull(&world, NAME));
    assert_eq!(out.code, 0, "{out:?}");
    assert!(begin.elapsed() > Duration::from_secs(3), "the line was not slow");
    is_whole(&world, NAME, &image);
    drop(registry);
    world.finish();
}

#[test]
fn killed_at_any_moment() {
    let image = image(5, 1_500_000);
    let (world, registry) = start(&image);
    let line = Line::start(|_| Harm { speed: 8_000_000, ..NONE });
    let mut kept = 0;
    // More of them: CORACLE_PULL_KILLS=300.
    let rounds = std::env::var("CORACLE_PULL_KILLS").ok().and_then(|text| text.parse().ok());
    for round in 0..rounds.unwrap_or(20_u64) {
        if kept == 5 && round + 10 < rounds.unwrap_or(20) {
            // All of it is there: from the beginning again.
            world.coracle(&["rmi", NAME]);
            world.ok(&["imgstore", "gc"]);
            kept = 0;
        }
        let mut child = begun(pull(&world, NAME));
        let from = line.bytes.load(Ordering::Relaxed);
        let share = (round * 331 % 1000) * 7000;
        let end = Instant::now() + Duration::from_secs(5);
        while line.bytes.load(Ordering::Relaxed) < from + share && Instant::now() < end {
            if child.try_wait().expect("wait").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        let _ = child.wait();
        // What is visible is whole, and nothing of it goes again.
        let now = layers(&world);
        assert!(now >= kept, "round {round}: {now} layers after {kept}");
        kept = now;
        world.ok(&["imgstore", "fsck", "--deep"]);
    }
    assert!(kept > 0, "no layer was kept");
    let before = registry.count("/blobs/");
    assert_eq!(done(pull(&world, STRAIGHT)).code, 0);
    assert!(registry.count("/blobs/") - before <= 1 + 5 - kept);
    is_whole(&world, STRAIGHT, &image);
    drop(registry);
    world.finish();
}
