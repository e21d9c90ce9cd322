#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stackherd::fuzzing::socks(data));
