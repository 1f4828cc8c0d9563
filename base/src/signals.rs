//! Signals by name: one table for the client, which sends names, and the engine, which reads them.

use rustix::process::Signal;

/// Names by number, without SIG; numbers differ between processors.
pub const NAMES: [(Signal, &str); 30] = [
    (Signal::ABORT, "ABRT"),
    (Signal::ALARM, "ALRM"),
    (Signal::BUS, "BUS"),
    (Signal::CHILD, "CHLD"),
    (Signal::CONT, "CONT"),
    (Signal::FPE, "FPE"),
    (Signal::HUP, "HUP"),
    (Signal::ILL, "ILL"),
    (Signal::INT, "INT"),
    (Signal::IO, "IO"),
    (Signal::KILL, "KILL"),
    (Signal::PIPE, "PIPE"),
    (Signal::POWER, "PWR"),
    (Signal::PROF, "PROF"),
    (Signal::QUIT, "QUIT"),
    (Signal::SEGV, "SEGV"),
    (Signal::STOP, "STOP"),
    (Signal::SYS, "SYS"),
    (Signal::TERM, "TERM"),
    (Signal::TRAP, "TRAP"),
    (Signal::TSTP, "TSTP"),
    (Signal::TTIN, "TTIN"),
    (Signal::TTOU, "TTOU"),
    (Signal::URG, "URG"),
    (Signal::USR1, "USR1"),
    (Signal::USR2, "USR2"),
    (Signal::VTALARM, "VTALRM"),
    (Signal::WINCH, "WINCH"),
    (Signal::XCPU, "XCPU"),
    (Signal::XFSZ, "XFSZ"),
];
