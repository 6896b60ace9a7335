//! Attempts at one purpose, an analysis or the experiment of a step: the first has the base name,
//! and each one after it a number as well.

/// See the module's documentation.
pub(super) struct Attempts {
    base: String,
    /// In front of the number.
    separator: char,
    named: Option<u32>,
}

impl Attempts {
    /// `named` is what the status names; it may be an attempt at something else, or nothing.
    pub(super) fn new(base: String, separator: char, named: &str) -> Self {
        let mut attempts = Self {
            base,
            separator,
            named: None,
        };
        attempts.named = attempts.number(named);
        attempts
    }

    /// The number of the attempt that the status names, if it is one at this purpose.
    pub(super) const fn named(&self) -> Option<u32> {
        self.named
    }

    /// The number of the attempt with that name, if it is one and comes after the one that the
    /// status names. A cache that is behind may not show that one, and may show those before it as
    /// if they went on.
    pub(super) fn later(&self, name: &str) -> Option<u32> {
        let number = self.number(name);
        number.filter(|number| Some(*number) > self.named)
    }

    /// The name of another one. That of the one that the status names is tried first, in case it is
    /// not seen: if it is there, it is refused, and seen from then on.
    pub(super) fn free_name(&self, is_taken: impl Fn(&str) -> bool) -> String {
        // Wider than what is named, after which there is always another one.
        let mut number = u64::from(self.named.unwrap_or(0));
        let mut name = self.name(number);
        while is_taken(&name) {
            number += 1;
            name = self.name(number);
        }
        name
    }

    fn name(&self, number: u64) -> String {
        let Self {
            base, separator, ..
        } = self;
        if number == 0 {
            base.clone()
        } else {
            format!("{base}{separator}{number}")
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        match name.strip_prefix(&self.base)? {
            "" => Some(0),
            number => number.strip_prefix(self.separator)?.parse().ok(),
        }
    }
}
