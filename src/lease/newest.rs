//! Whether the cluster was put back: resource versions only grow, unless etcd is restored.

/// The resource version that was seen last.
#[derive(Debug, Default)]
pub(super) struct Newest(u64);

impl Newest {
    /// Takes note of a version, and says whether it is older than the one before.
    pub(super) fn goes_back(&mut self, version: u64) -> bool {
        version < std::mem::replace(&mut self.0, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_older_than_the_one_before_is_noticed_once() {
        let mut newest = Newest::default();
        let goes_back = [7, 7, 9, 3, 4].map(|version| newest.goes_back(version));
        assert_eq!(goes_back, [false, false, false, true, false]);
    }
}
