//! Target state: from rendered documents to the objects that an Application wants
//! (gitops.md items 13, 30, 31, 50, 51).

mod hook;
mod prepare;
mod scope;

pub use hook::{HOOK_ANNOTATION, Hook, hook};
pub use prepare::{Document, Manifest, Origin, PrepareContext, Prepared, prepare};
pub use scope::Scopes;

#[cfg(test)]
mod tests;
