//! Server, engine and jobs.
#![forbid(unsafe_code)]
