//! `meta.k8s.io/v1` Tables: what `kubectl get` shows. Built-in kinds have their own printers, CRDs
//! their columns.

mod columns;
mod core;
mod duration;
mod jsonpath;
mod network;
mod render;
mod workload;

pub(crate) use render::{render, render_scale};
