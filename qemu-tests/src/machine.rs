//! One boot of a machine: QEMU's arguments, its console, and the hard limit.

use crate::console::{Console, Ending};
use crate::kernels::Kernel;
use base::{OnError, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// After the last result the machine has this long to power off.
const POWER_OFF: Duration = Duration::from_secs(20);

const HARDWARE: &[&str] = &["-accel", "kvm", "-cpu", "host"];
const EMULATION: &[&str] = &["-accel", "tcg"];

/// What to boot.
pub struct Machine<'a> {
    /// The kernel's row.
    pub kernel: &'a Kernel,
    /// Its image.
    pub image: &'a Path,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// More words of the kernel's command line.
    pub boot_parameters: &'a str,
    /// Megabytes, instead of the kernel's row.
    pub memory: Option<u32>,
    /// More arguments of QEMU.
    pub more: &'a [String],
    /// Run by the hardware (KVM), not emulated.
    pub hardware: bool,
    /// The hard limit.
    pub limit: Duration,
    /// The power goes: so long after a line with this text.
    pub cut: Option<&'a (String, Duration)>,
    /// Where the console's text is kept.
    pub log: PathBuf,
}

/// How it went.
pub struct Boot {
    /// What the console said.
    pub console: Console,
    /// Why QEMU ended.
    pub ending: Ending,
    /// How long it took.
    pub took: Duration,
}

impl Machine<'_> {
    fn command(&self) -> Command {
        let kernel = self.kernel;
        let memory = self.memory.unwrap_or(kernel.memory).to_string();
        let append = format!(
            "console={} panic=-1 quiet loglevel=3 {}",
            kernel.console, self.boot_parameters
        );
        let mut command = Command::new(kernel.qemu);
        command
            .args(kernel.machine)
            .args(["-m", &memory, "-smp", "1"])
            .args(if self.hardware { HARDWARE } else { EMULATION })
            .args(["-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot"])
            .arg("-kernel")
            .arg(self.image)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", append.trim_end()])
            .args(self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Boots it and waits for its end, by itself or by the limit.
    pub fn run(&self) -> Result<Boot> {
        let begin = Instant::now();
        let _ = std::fs::remove_file(&self.log);
        let mut child = self.command().spawn().on("start", self.kernel.qemu)?;
        let lines = lines_of(&mut child);
        let mut console = Console::default();
        let watched = self.watch(&lines, &mut console, begin);
        // Ended, or to be ended: never left behind.
        let _ = child.kill();
        let _ = child.wait();
        let mut ending = watched?;
        if ending == Ending::Cut {
            // What it said before it was killed may still be on its way.
            ending = match self.watch(&lines, &mut console, begin)? {
                Ending::Itself => Ending::Cut,
                other => other,
            };
        }
        Ok(Boot { console, ending, took: begin.elapsed() })
    }

    fn watch(
        &self,
        lines: &Receiver<String>,
        console: &mut Console,
        begin: Instant,
    ) -> Result<Ending> {
        let log = std::fs::File::options().append(true).create(true).open(&self.log);
        let mut log = log.on_path("open", &self.log)?;
        let (mut end, mut cut) = (begin + self.limit, false);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    writeln!(log, "{:7.2} {line}", begin.elapsed().as_secs_f32())
                        .on_path("write", &self.log)?;
                    let complete = console.is_complete();
                    console.line(&line);
                    if let Some((_, delay)) = self.cut.filter(|(text, _)| line.ends_with(text)) {
                        (end, cut) = (Instant::now() + *delay, true);
                    }
                    if console.is_complete() && !complete {
                        end = end.min(Instant::now() + POWER_OFF);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Itself),
                Err(RecvTimeoutError::Timeout) if cut => return Ok(Ending::Cut),
                Err(RecvTimeoutError::Timeout) => {
                    return Ok(Ending::Deadline(begin.elapsed().as_secs()));
                }
            }
        }
    }
}

/// The lines of both of its streams: QEMU's own complaints belong into the same log.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut bytes = Vec::new();
            // Lines of a console that went mad are cut.
            while let Ok(1..) =
                std::io::Read::take(&mut reader, 1 << 16).read_until(b'\n', &mut bytes)
            {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_string();
                if sender.send(line).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
    }
    lines
}
