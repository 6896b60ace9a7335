//! Whether the rights are there: each one of the table is asked for.

use super::CheckOptions;
use super::report::Finding;
use crate::error::{chain, code_of};
use deploy::{Place, RULES, Rule, Settings};
use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

/// How many reviews are under way at a time.
const AT_ONCE: usize = 8;

pub(super) async fn findings(
    client: &Client,
    settings: &Settings,
    options: &CheckOptions,
) -> Vec<Finding> {
    let account = options.service_account.as_deref();
    let wanted = RULES
        .iter()
        .filter(|rule| !(settings.namespaced && rule.place == Place::Cluster))
        .filter(|rule| options.gitops || !rule.is_of_gitops());
    let asked: Vec<(&Rule, ResourceAttributes)> = wanted
        .flat_map(|rule| {
            let of_rule = attributes(rule, settings);
            of_rule
                .into_iter()
                .map(move |attributes| (rule, attributes))
        })
        .collect();
    let count = asked.len();
    let mut answers = stream::iter(asked)
        .map(|(rule, attributes)| async move {
            let answer = allowed(client, settings, account, &attributes).await;
            (rule, attributes, answer)
        })
        .buffered(AT_ONCE);
    let who = account.map_or_else(
        || "your account".to_owned(),
        |name| format!("the service account {name}"),
    );
    let mut findings = Vec::new();
    while let Some((rule, attributes, answer)) = answers.next().await {
        match answer {
            Ok(true) => {}
            Ok(false) => findings.push(lacking(rule, &attributes, &who)),
            Err(error) if code_of(&error) != Some(403) => {
                findings.push(Finding::bad(
                    format!("an answer about the rights of {who}: {}", chain(&error)),
                    "try again",
                ));
                return findings;
            }
            Err(error) => {
                findings.push(Finding::doubt(
                    format!("rights could not be asked for: {}", chain(&error)),
                    "your account needs create of subjectaccessreviews (authorization.k8s.io) to ask for another",
                ));
                return findings;
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good(format!("{count} rights of {who}")));
    }
    findings
}

fn lacking(rule: &Rule, attributes: &ResourceAttributes, who: &str) -> Finding {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut resource = text(&attributes.resource);
    if let Some(part) = &attributes.subresource {
        resource = format!("{resource}/{part}");
    }
    let group = text(&attributes.group);
    let of_group = if group.is_empty() {
        String::new()
    } else {
        format!(" ({group})")
    };
    let place = match &attributes.namespace {
        Some(namespace) => format!("in the namespace {namespace}"),
        None => "in the whole cluster".to_owned(),
    };
    Finding::bad(
        format!(
            "the right of {who} to {} {resource}{of_group} {place}: {}",
            text(&attributes.verb),
            rule.why
        ),
        "apply the roles of `weir install --dry-run`, with --namespaced for one namespace",
    )
}

/// A rule, resource by resource and verb by verb.
fn attributes(rule: &Rule, settings: &Settings) -> Vec<ResourceAttributes> {
    let in_namespace = match rule.place {
        Place::Own => true,
        Place::Watched => settings.namespaced,
        Place::Cluster => false,
    };
    let mut all = Vec::new();
    for resource in rule.resources {
        let (resource, part) = match resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part.to_owned())),
            None => (*resource, None),
        };
        for verb in rule.verbs {
            all.push(ResourceAttributes {
                group: Some(rule.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: part.clone(),
                verb: Some((*verb).to_owned()),
                namespace: in_namespace.then(|| settings.namespace.clone()),
                ..ResourceAttributes::default()
            });
        }
    }
    all
}

async fn allowed(
    client: &Client,
    settings: &Settings,
    account: Option<&str>,
    attributes: &ResourceAttributes,
) -> kube::Result<bool> {
    let params = PostParams::default();
    let attributes = Some(attributes.clone());
    let status = match account {
        None => {
            let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: attributes,
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            api.create(&params, &review).await?.status
        }
        Some(name) => {
            let api: Api<SubjectAccessReview> = Api::all(client.clone());
            let namespace = &settings.namespace;
            let review = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                    groups: Some(vec![
                        "system:serviceaccounts".to_owned(),
                        format!("system:serviceaccounts:{namespace}"),
                        "system:authenticated".to_owned(),
                    ]),
                    resource_attributes: attributes,
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            api.create(&params, &review).await?.status
        }
    };
    Ok(status.is_some_and(|status| status.allowed))
}
