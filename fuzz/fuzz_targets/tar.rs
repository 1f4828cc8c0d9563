#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgstore::fuzzing::tar(bytes));
