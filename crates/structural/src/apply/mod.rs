//! Server-side apply and field ownership, as apimachinery's `managedfields` and
//! structured-merge-diff have it.
//!
//! - [`apply`] merges an applied configuration into the live object: takes ownership of what it
//!   names, removes what its manager named before and names no more, and reports [`Conflict`]s with
//!   other managers.
//! - [`record_update`] notes what a create, update or patch changed.
//!
//! Both return the object with `metadata.managedFields` rewritten. Defaulting, validation and
//! admission are the caller's: an applied object is defaulted *after* [`apply`], an updated one
//! *before* [`record_update`].

mod element;
mod error;
mod field_set;
mod managed;
mod operation;
mod typed;

pub use element::PathElement;
pub use error::{ApplyError, Conflict};
pub use field_set::{FieldSet, FieldsError};
pub use operation::{Outcome, Request, apply, record_update};
