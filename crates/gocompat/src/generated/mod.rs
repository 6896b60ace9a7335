//! Tables generated from Go's types by `xtask/gen/gocompat`.

mod pod_template;

pub(crate) use pod_template::POD_TEMPLATE;
