#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| obscura_fuzz::query::check(bytes));
