//! The keeper of images: graph, layers, graph drivers, archives.
#![forbid(unsafe_code)]
