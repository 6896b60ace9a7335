//! Reading `application/vnd.kubernetes.protobuf` bodies, which typed Go clients
//! (`kubectl create configmap`, `kubectl auth can-i`) send for built-in kinds. Answers are always
//! JSON or YAML: such clients accept those too.

mod decode;
pub(crate) mod openapi;
mod schema;

pub(crate) use decode::decode;

/// The media type.
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
