//! Arguments of an analysis: what `{{templates.…}}` and `{{experiment.…}}` stand for.

use super::context::Context;
use crate::rollout::replica_set::OwnedSet;
use api::Argument;
use jiff::Timestamp;

impl Context<'_> {
    /// The arguments with their variables filled in. What an Experiment's argument takes from
    /// elsewhere (`valueFrom`) is dropped, as the peer does.
    pub(super) fn resolve(&self, args: &[Argument]) -> Result<Vec<Argument>, String> {
        let mut resolved = Vec::with_capacity(args.len());
        for arg in args {
            let value = arg.value.as_deref().map(|text| self.fill(text));
            resolved.push(Argument {
                name: arg.name.clone(),
                value: value.transpose()?,
                value_from: None,
            });
        }
        Ok(resolved)
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((tag, tail)) = after.split_once("}}") else {
                break;
            };
            let value = self
                .variable(tag.trim())
                .ok_or_else(|| format!("failed to resolve {{{{{tag}}}}}"))?;
            filled.push_str(before);
            filled.push_str(&value);
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn variable(&self, tag: &str) -> Option<String> {
        match tag {
            "experiment.availableAt" => {
                let at = self.status.available_at.as_ref()?;
                return Some(rfc3339(at.0));
            }
            "experiment.finishedAt" => return self.ends_at().map(rfc3339),
            _ => {}
        }
        let rest = tag.strip_prefix("templates.")?;
        let of = |template: &str, show: fn(&OwnedSet) -> &str| {
            let known = self.spec.templates.iter().any(|one| one.name == template);
            let sets = self.sets_of(template);
            sets.first()
                .filter(|_| known)
                .map(|set| show(set).to_owned())
        };
        if let Some(template) = rest.strip_suffix(".podTemplateHash") {
            return of(template, OwnedSet::hash);
        }
        of(rest.strip_suffix(".replicaset.name")?, OwnedSet::name)
    }
}

/// RFC 3339 in UTC with whole seconds.
fn rfc3339(at: Timestamp) -> String {
    crate::rollout::time::whole_seconds(at).to_string()
}
