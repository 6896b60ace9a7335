//! Choices that bytes make: numbers, times and names, sensible and not.

use serde_json::{Value, json};

/// Choices out of bytes; zeros when they are used up.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn next(&mut self) -> usize {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                usize::from(*first)
            }
            None => 0,
        }
    }

    pub(super) fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.next() % of.len()]
    }

    pub(super) fn yes(&mut self) -> bool {
        self.next() % 4 == 1
    }

    pub(super) fn number(&mut self) -> Value {
        let numbers = [
            0,
            1,
            2,
            3,
            5,
            10,
            50,
            99,
            100,
            101,
            -1,
            -7,
            i32::MAX,
            i32::MIN,
            1_000_000,
        ];
        json!(self.one(&numbers))
    }

    /// Mostly something that makes sense.
    pub(super) fn small(&mut self) -> Value {
        if self.yes() {
            return self.number();
        }
        json!(self.one(&[0, 1, 2, 3, 4, 5, 10]))
    }

    pub(super) fn amount(&mut self) -> Value {
        let texts = [
            "25%",
            "0%",
            "100%",
            "-10%",
            "1000%",
            "99999999999999%",
            "1e309%",
            "NaN%",
            "inf",
            "ten",
            "",
            "5",
            "%",
            "25",
        ];
        if self.yes() {
            return self.number();
        }
        json!(self.one(&texts))
    }

    pub(super) fn seconds(&mut self) -> Value {
        let texts = ["30s", "5m", "-1h", "9999999h", "1d", "soon", "", "300"];
        if self.yes() {
            return self.number();
        }
        json!(self.one(&texts))
    }

    pub(super) fn time(&mut self) -> Value {
        let times = [
            "2030-01-01T00:00:00Z",
            "2029-12-31T23:59:30Z",
            "2030-01-01T00:10:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-30T22:00:00Z",
            "1969-12-31T23:59:59Z",
        ];
        json!(self.one(&times))
    }

    pub(super) fn name(&mut self) -> String {
        match self.next() % 8 {
            0 => "n".repeat(2_000),
            1 => String::new(),
            2 => "Ünïcode/ and 'quotes' {{args.x}}".to_owned(),
            _ => (*self.one(&["canary", "stable", "active", "preview", "app", "other"])).to_owned(),
        }
    }

    pub(super) fn hash(&mut self) -> String {
        (*self.one(&["aaa", "bbb", "ccc", "", "no such hash"])).to_owned()
    }

    /// Sets fields that the bytes choose.
    pub(super) fn some(
        &mut self,
        object: &mut Value,
        field: &str,
        value: impl FnOnce(&mut Self) -> Value,
    ) {
        if self.next() % 3 == 1 {
            let value = value(self);
            object[field] = value;
        }
    }
}
