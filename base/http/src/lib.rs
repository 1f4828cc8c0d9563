//! HTTP/1.1 heads, bodies and hijacked streams, and the documents of the Engine API.
#![forbid(unsafe_code)]
