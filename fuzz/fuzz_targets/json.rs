#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| facematch::fuzzing::json(bytes));
