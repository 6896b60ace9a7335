//! From an HTTP request to an answer: routing, content negotiation, verbs, discovery.

mod discovery;
mod duplicates;
mod handle;
mod list;
mod negotiate;
pub(crate) mod openapi;
mod query;
pub(crate) mod respond;
mod review;
mod route;
mod streams;
mod verbs;
mod watch;

pub(crate) use handle::handle;
