//! Conditions: the input is an expression, a zero byte, and JSON for `result`.
#![no_main]

use expr::{Env, Program, Value};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (source, result) = text.split_once('\0').unwrap_or((text, "1"));
    let Ok(result) = serde_json::from_str::<serde_json::Value>(result) else { return };
    let env = Env::condition(Value::from_json(&result), Timestamp::UNIX_EPOCH);
    if let Ok(program) = Program::compile(source, &env) {
        let _ = program.run(&env);
    }
});
