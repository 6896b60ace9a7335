//! What the client can read (`Accept`) and what it sent (`Content-Type`).

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use crate::status::Status;
use crate::wire::{PROTOBUF, decode};

pub(super) const OFFERED: &str =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The shape an object or list is answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    /// `as=Table`.
    Table,
    /// `as=PartialObjectMetadata`.
    Metadata,
    /// `as=PartialObjectMetadataList`.
    MetadataList,
    /// `as=APIGroupDiscoveryList` of apidiscovery.k8s.io/v2.
    Discovery,
}

/// The outcome of negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) yaml: bool,
    pub(crate) shape: Shape,
}

impl Accept {
    const JSON: Self = Self {
        yaml: false,
        shape: Shape::Whole,
    };

    /// The first acceptable offer of the `Accept` header.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Self, Status> {
        let mut header = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .peekable();
        if header.peek().is_none() {
            return Ok(Self::JSON);
        }
        header
            .flat_map(|value| value.split(','))
            .find_map(|range| Self::offer(range.trim()))
            .ok_or_else(|| Status::no_representation(OFFERED))
    }

    fn offer(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let yaml = match parts.next()? {
            "application/json" | "*/*" | "application/*" | "" => false,
            "application/yaml" | "text/yaml" => true,
            _ => return None,
        };
        let (mut shape, mut group, mut version) = ("", "", "");
        for parameter in parts {
            match parameter.split_once('=') {
                Some(("as", value)) => shape = value,
                Some(("g", value)) => group = value,
                Some(("v", value)) => version = value,
                _ => {}
            }
        }
        let shape = match (shape, group, version) {
            ("", _, _) => Shape::Whole,
            ("Table", "meta.k8s.io", "v1") => Shape::Table,
            ("PartialObjectMetadata", "meta.k8s.io", "v1") => Shape::Metadata,
            ("PartialObjectMetadataList", "meta.k8s.io", "v1") => Shape::MetadataList,
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Shape::Discovery,
            _ => return None,
        };
        Some(Self { yaml, shape })
    }
}

/// The media type of the body without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Reads a JSON or YAML body of an object of `kind`.
pub(crate) fn read_body(headers: &HeaderMap, body: &[u8], kind: &str) -> Result<Value, Status> {
    let unreadable = |why: String| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why}"
        ))
    };
    match media_type(headers) {
        "" | "application/json" => {
            serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))
        }
        "application/yaml" | "text/yaml" => read_yaml(body).map_err(unreadable),
        PROTOBUF => decode(body).map_err(unreadable),
        _ => Err(Status::unsupported_media_type(OFFERED)),
    }
}

/// Reads YAML (JSON included).
pub(crate) fn read_yaml(body: &[u8]) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}
