//! A registry inside the machine, for one command: `probe with-registry DEVICE PROGRAM ARGUMENT…`. Its files
//! lie on a disk of their own ([`crate::hosted`] makes it) and are named as they are asked for, so that it needs
//! next to no memory.

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Where it listens.
const ADDRESS: &str = "127.0.0.1:5000";
const FOLDER: &str = "/tmp/registry";
/// More of a request is not read.
const LONGEST_HEAD: usize = 16 << 10;

/// Runs the command beside it; the exit code is the command's.
pub(super) fn with_registry(device: &str, words: &[String]) -> std::io::Result<ExitCode> {
    let Some((program, arguments)) = words.split_first() else { return Ok(ExitCode::from(2)) };
    std::fs::create_dir_all(FOLDER)?;
    mount(device, FOLDER, "ext4", MountFlags::RDONLY, None)?;
    base::sys::loopback::up()?;
    serve(TcpListener::bind(ADDRESS)?, Path::new(FOLDER));
    let status = Command::new(format!("/bin/{program}")).args(arguments).status()?;
    unmount(FOLDER, UnmountFlags::DETACH)?;
    Ok(ExitCode::from(status.code().unwrap_or(255) as u8))
}

/// Answers from a folder, from now on.
pub fn serve(listener: TcpListener, folder: &Path) {
    let folder = folder.to_path_buf();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            std::thread::spawn(move || answer(stream, &folder));
        }
    });
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if head.len() > LONGEST_HEAD || stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    // /v2/NAME/manifests/TAG: the last two words name the file.
    let mut parts = target.rsplit('/');
    let (name, kind) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if target == "/v2/" {
        return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    }
    let path = folder.join(kind).join(name.split('?').next().unwrap_or(""));
    let Ok(mut file) = std::fs::File::open(path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let kind = match kind {
        "manifests" => crate::hosted::MANIFEST,
        "tags" => "application/json",
        _ => "application/octet-stream",
    };
    let length = file.metadata()?.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        std::io::copy(&mut file, &mut stream)?;
    }
    Ok(())
}
