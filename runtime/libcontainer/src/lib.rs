//! Makes a container: root, plan, act.
#![forbid(unsafe_code)]
