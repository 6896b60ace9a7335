//! to come
#[derive(Debug)]
pub struct Full;
