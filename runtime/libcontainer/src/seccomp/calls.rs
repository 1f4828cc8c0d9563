//! The calls of this CPU's kernel by name, made from `calls.txt` when this is compiled.
//!
//! A line of it is a name, the class of the built-in profile (`-` when it does not name the call;
//! see `builtin`), and the numbers on x86-64, x32 (where it differs), i386, aarch64, arm, mips (o32)
//! and riscv64; `-` where there is no such call. Only the names and numbers of the ABIs that this
//! CPU's kernel has are kept.

/// One binary interface of the kernel.
pub(super) struct Abi {
    /// Its name in profiles.
    pub(super) name: &'static str,
    /// AUDIT_ARCH_* of linux/audit.h.
    pub(super) audit: u32,
    numbers: &'static [u16; COUNT],
}

/// No such call.
const NONE: u16 = u16::MAX;
/// ARM's private calls (0xf0001 to 0xf0006) are kept from here on.
const PRIVATE: u16 = 0xf000;

impl Abi {
    /// The number of the call at this place of the table.
    pub(super) fn number(&self, call: usize) -> Option<u32> {
        match *self.numbers.get(call)? {
            NONE => None,
            number if number >= PRIVATE => Some(0xf0000 + u32::from(number - PRIVATE)),
            number => Some(u32::from(number)),
        }
    }
}

const TEXT: &[u8] = include_bytes!("calls.txt");

/// The columns of this CPU: its own, and that of the ABI beside it.
#[cfg(target_arch = "x86_64")]
const COLUMNS: [usize; 2] = [2, 4];
#[cfg(target_arch = "x86")]
const COLUMNS: [usize; 2] = [4, 4];
#[cfg(target_arch = "aarch64")]
const COLUMNS: [usize; 2] = [5, 6];
#[cfg(target_arch = "arm")]
const COLUMNS: [usize; 2] = [6, 6];
#[cfg(target_arch = "mips")]
const COLUMNS: [usize; 2] = [7, 7];
#[cfg(target_arch = "riscv64")]
const COLUMNS: [usize; 2] = [8, 8];

/// This CPU's ABIs, its own first.
#[cfg(target_arch = "x86_64")]
pub(super) static ABIS: [Abi; 2] = [
    Abi { name: "SCMP_ARCH_X86_64", audit: 0xc000_003e, numbers: &NUMBERS },
    Abi { name: "SCMP_ARCH_X86", audit: 0x4000_0003, numbers: &BESIDE },
];
#[cfg(target_arch = "x86")]
pub(super) static ABIS: [Abi; 1] =
    [Abi { name: "SCMP_ARCH_X86", audit: 0x4000_0003, numbers: &NUMBERS }];
#[cfg(target_arch = "aarch64")]
pub(super) static ABIS: [Abi; 2] = [
    Abi { name: "SCMP_ARCH_AARCH64", audit: 0xc000_00b7, numbers: &NUMBERS },
    Abi { name: "SCMP_ARCH_ARM", audit: 0x4000_0028, numbers: &BESIDE },
];
#[cfg(target_arch = "arm")]
pub(super) static ABIS: [Abi; 1] =
    [Abi { name: "SCMP_ARCH_ARM", audit: 0x4000_0028, numbers: &NUMBERS }];
#[cfg(all(target_arch = "mips", target_endian = "little"))]
pub(super) static ABIS: [Abi; 1] =
    [Abi { name: "SCMP_ARCH_MIPSEL", audit: 0x4000_0008, numbers: &NUMBERS }];
#[cfg(all(target_arch = "mips", target_endian = "big"))]
pub(super) static ABIS: [Abi; 1] =
    [Abi { name: "SCMP_ARCH_MIPS", audit: 0x0000_0008, numbers: &NUMBERS }];
#[cfg(target_arch = "riscv64")]
pub(super) static ABIS: [Abi; 1] =
    [Abi { name: "SCMP_ARCH_RISCV64", audit: 0xc000_00f3, numbers: &NUMBERS }];

/// Docker's words for this CPU in a profile's `arches`.
#[cfg(target_arch = "x86_64")]
pub(super) const DOCKERS_NAMES: &[&str] = &["amd64"];
#[cfg(target_arch = "x86")]
pub(super) const DOCKERS_NAMES: &[&str] = &["386", "x86"];
#[cfg(target_arch = "aarch64")]
pub(super) const DOCKERS_NAMES: &[&str] = &["arm64"];
#[cfg(target_arch = "arm")]
pub(super) const DOCKERS_NAMES: &[&str] = &["arm"];
#[cfg(target_arch = "mips")]
pub(super) const DOCKERS_NAMES: &[&str] = &["mips", "mipsle", "mipsel"];
#[cfg(target_arch = "riscv64")]
pub(super) const DOCKERS_NAMES: &[&str] = &["riscv64"];

/// How many calls there are.
pub(super) const COUNT: usize = measure().0;
/// Their names, each with its length before it.
static NAMES: [u8; measure().1] = names();
static NUMBERS: [u16; COUNT] = numbers(COLUMNS[0]);
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BESIDE: [u16; COUNT] = numbers(COLUMNS[1]);
/// The class of each in the built-in profile.
pub(super) static CLASSES: [u8; COUNT] = classes();

/// The calls that have a number of their own on x32: place in the table, number.
#[cfg(target_arch = "x86_64")]
static X32: [(u16, u16); x32_count()] = x32();

/// The name of the call at each place, in their order.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let mut rest: &'static [u8] = &NAMES;
    std::iter::from_fn(move || {
        let (length, more) = rest.split_first()?;
        let (name, more) = more.split_at_checked(usize::from(*length))?;
        rest = more;
        std::str::from_utf8(name).ok()
    })
}

/// The calls with a number of their own on x32.
pub(super) fn x32_numbers() -> &'static [(u16, u16)] {
    #[cfg(target_arch = "x86_64")]
    return &X32;
    #[cfg(not(target_arch = "x86_64"))]
    &[]
}

// What follows runs in the compiler.

/// Where the field of this number begins and ends in the line that begins at `at`.
const fn field(mut at: usize, mut number: usize) -> (usize, usize) {
    while number > 0 {
        while TEXT[at] != b' ' {
            at += 1;
        }
        at += 1;
        number -= 1;
    }
    let mut end = at;
    while TEXT[end] != b' ' && TEXT[end] != b'\n' {
        end += 1;
    }
    (at, end)
}

const fn next_line(mut at: usize) -> usize {
    while TEXT[at] != b'\n' {
        at += 1;
    }
    at + 1
}

const fn number(line: usize, column: usize) -> u16 {
    let (mut at, end) = field(line, column);
    if TEXT[at] == b'-' {
        return NONE;
    }
    let mut value = 0_u32;
    while at < end {
        value = value * 10 + (TEXT[at] - b'0') as u32;
        at += 1;
    }
    if value >= 0xf0000 { PRIVATE + (value - 0xf0000) as u16 } else { value as u16 }
}

/// Whether this CPU has the call of this line.
const fn is_here(line: usize) -> bool {
    number(line, COLUMNS[0]) != NONE || number(line, COLUMNS[1]) != NONE
}

/// How many calls there are, and the bytes of their names.
#[allow(long_running_const_eval)]
const fn measure() -> (usize, usize) {
    let (mut count, mut bytes, mut line) = (0, 0, 0);
    while line < TEXT.len() {
        if is_here(line) {
            let (start, end) = field(line, 0);
            count += 1;
            bytes += end - start + 1;
        }
        line = next_line(line);
    }
    (count, bytes)
}

#[allow(long_running_const_eval)]
const fn names() -> [u8; measure().1] {
    let mut names = [0; measure().1];
    let (mut filled, mut line) = (0, 0);
    while line < TEXT.len() {
        if is_here(line) {
            let (mut at, end) = field(line, 0);
            names[filled] = (end - at) as u8;
            filled += 1;
            while at < end {
                names[filled] = TEXT[at];
                filled += 1;
                at += 1;
            }
        }
        line = next_line(line);
    }
    names
}

#[allow(long_running_const_eval)]
const fn numbers(column: usize) -> [u16; COUNT] {
    let mut numbers = [NONE; COUNT];
    let (mut call, mut line) = (0, 0);
    while line < TEXT.len() {
        if is_here(line) {
            numbers[call] = number(line, column);
            call += 1;
        }
        line = next_line(line);
    }
    numbers
}

#[allow(long_running_const_eval)]
const fn classes() -> [u8; COUNT] {
    let mut classes = [0; COUNT];
    let (mut call, mut line) = (0, 0);
    while line < TEXT.len() {
        if is_here(line) {
            classes[call] = TEXT[field(line, 1).0];
            call += 1;
        }
        line = next_line(line);
    }
    classes
}

#[cfg(target_arch = "x86_64")]
const X32_COLUMN: usize = 3;

#[cfg(target_arch = "x86_64")]
#[allow(long_running_const_eval)]
const fn x32_count() -> usize {
    let numbers = numbers(X32_COLUMN);
    let (mut count, mut call) = (0, 0);
    while call < COUNT {
        count += (numbers[call] != NONE) as usize;
        call += 1;
    }
    count
}

#[cfg(target_arch = "x86_64")]
#[allow(long_running_const_eval)]
const fn x32() -> [(u16, u16); x32_count()] {
    let numbers = numbers(X32_COLUMN);
    let mut own = [(0, 0); x32_count()];
    let (mut filled, mut call) = (0, 0);
    while call < COUNT {
        if numbers[call] != NONE {
            own[filled] = (call as u16, numbers[call]);
            filled += 1;
        }
        call += 1;
    }
    own
}
