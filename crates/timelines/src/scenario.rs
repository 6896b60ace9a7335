//! What is played: manifests, and then what users do.

use serde::Deserialize;
use serde_json::Value;

/// A scenario, as YAML.
#[derive(Clone, Debug, Deserialize)]
pub struct Scenario {
    pub name: String,
    #[serde(default)]
    pub about: String,
    /// Without namespaces: the player gives them one.
    pub manifests: Vec<Value>,
    pub actions: Vec<Action>,
}

/// One thing that a user does, or waits for.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Action {
    /// Waits for a phase of the Rollout, with the observed generation current.
    Until {
        #[serde(rename = "status.phase")]
        phase: String,
    },
    /// A merge patch of an object, named as `rollout/app`.
    Patch { what: String, with: Value },
    /// A merge patch of the status subresource.
    Status { what: String, with: Value },
    /// Lets seconds pass.
    Sleep { s: f64 },
}

/// Why a text is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("a scenario must be YAML")]
    Yaml(#[from] gocompat::yaml::YamlError),
    #[error("it holds {0} documents, and has to hold one")]
    Documents(usize),
    #[error("no scenario: it must have name, manifests and actions")]
    Shape(#[from] serde_json::Error),
    #[error("there is no Rollout among its manifests")]
    NoRollout,
}

impl Scenario {
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut documents = gocompat::yaml::from_str(text)?;
        if documents.len() != 1 {
            return Err(ScenarioError::Documents(documents.len()));
        }
        let scenario: Self = serde_json::from_value(documents.remove(0))?;
        let is_rollout = |manifest: &Value| manifest["kind"] == "Rollout";
        if !scenario.manifests.iter().any(is_rollout) {
            return Err(ScenarioError::NoRollout);
        }
        Ok(scenario)
    }
}
