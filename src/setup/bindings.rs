//! Whether the bindings of the cluster give their rights to this installation. A binding has one
//! list of subjects, so two installations that have one of a name take the rights away from each
//! other. `weir install` and Helm give each namespace bindings of its own; manifests that were
//! edited need not.

use super::report::Finding;
use crate::error::{chain, code_of, if_found};
use deploy::Settings;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Subject};
use kube::{Api, Client};
use std::collections::BTreeSet;

/// A binding that an installation of this namespace has, too, and that others are bound by.
#[derive(Debug)]
struct Taken {
    binding: String,
    /// Whether our service account is bound as well.
    is_shared: bool,
    others: BTreeSet<Account>,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Account {
    namespace: String,
    name: String,
}

impl Account {
    fn of(subject: &Subject) -> Option<Self> {
        let namespace = subject.namespace.clone()?;
        (subject.kind == "ServiceAccount").then(|| Self {
            namespace,
            name: subject.name.clone(),
        })
    }

    /// Whether it may be in use. One that can't be asked for may be.
    async fn is_there(&self, client: &Client) -> bool {
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &self.namespace);
        !matches!(if_found(api.get(&self.name).await), Ok(None))
    }
}

impl Taken {
    fn namespaces(&self) -> String {
        let names: BTreeSet<&str> = self
            .others
            .iter()
            .map(|account| account.namespace.as_str())
            .collect();
        names.into_iter().collect::<Vec<&str>>().join(", ")
    }

    /// How both installations get rights. `then` is what is to be done at last.
    fn remedy(&self, then: &str) -> String {
        let Self { binding, .. } = self;
        let first = self.others.iter().next();
        let namespace = first.map_or("", |account| account.namespace.as_str());
        format!(
            "if a controller is to run there: `weir install --namespace {namespace}`, which gives it bindings \
             of its own; then kubectl delete clusterrolebinding {binding}, and {then}"
        )
    }
}

/// The bindings of `settings` that are there and have subjects in other namespaces.
async fn taken(client: &Client, settings: &Settings) -> kube::Result<Vec<Taken>> {
    let api: Api<ClusterRoleBinding> = Api::all(client.clone());
    let mut all = Vec::new();
    let objects = deploy::install(settings);
    for wanted in objects
        .iter()
        .filter(|object| object["kind"] == "ClusterRoleBinding")
    {
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let Some(live) = if_found(api.get(name).await)? else {
            continue;
        };
        let subjects = live.subjects.unwrap_or_default();
        let accounts = subjects.iter().filter_map(Account::of);
        let (ours, others): (BTreeSet<_>, BTreeSet<_>) =
            accounts.partition(|account| account.namespace == settings.namespace);
        if !others.is_empty() {
            all.push(Taken {
                binding: name.to_owned(),
                is_shared: ours.iter().any(|account| account.name == Settings::NAME),
                others,
            });
        }
    }
    Ok(all)
}

/// For a cluster in which it is installed: whether it has what it was given.
pub(super) async fn findings(client: &Client, settings: &Settings) -> Vec<Finding> {
    let taken = match taken(client, settings).await {
        Ok(taken) => taken,
        Err(error) if code_of(&error) == Some(403) => {
            return vec![Finding::doubt(
                "ClusterRoleBindings can't be looked at with your rights: whether another installation has \
                 taken those of this one over would not be seen",
                "ask somebody who may read them to run `weir check`",
            )];
        }
        Err(error) => {
            return vec![Finding::bad(
                format!("an answer about the ClusterRoleBindings: {}", chain(&error)),
                "try again",
            )];
        }
    };
    let lost = taken.iter().filter(|one| !one.is_shared);
    lost.map(|one| {
        let namespace = &settings.namespace;
        Finding::bad(
            format!(
                "the rights of the ClusterRoleBinding {} for the namespace {namespace}: another installation \
                 has them, in the namespace {}",
                one.binding,
                one.namespaces()
            ),
            one.remedy(&format!("`weir install --namespace {namespace}`")),
        )
    })
    .collect()
}

/// For a cluster in which it is to be installed: why not, if that would take rights away from
/// another controller.
///
/// # Errors
/// When the cluster can't be asked.
pub(super) async fn refusals(client: &Client, settings: &Settings) -> kube::Result<Vec<Finding>> {
    let mut refusals = Vec::new();
    for mut one in taken(client, settings).await? {
        let mut there = BTreeSet::new();
        for account in std::mem::take(&mut one.others) {
            if account.is_there(client).await {
                there.insert(account);
            }
        }
        if there.is_empty() {
            // What is left of an installation that is gone.
            continue;
        }
        one.others = there;
        refusals.push(Finding::bad(
            format!(
                "the ClusterRoleBinding {} is another installation's, in the namespace {}: its controller \
                 would lose its rights",
                one.binding,
                one.namespaces()
            ),
            one.remedy("install this one"),
        ));
    }
    Ok(refusals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{InstallOptions, install};
    use apiserver::ApiServer;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::api::{DeleteParams, PostParams};
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use std::fmt::Debug;
    use std::io::sink;

    async fn create<K>(api: &Api<K>, object: Value)
    where
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// A cluster in which manifests that were edited have put an installation into the namespace
    /// `other`.
    async fn taken_over() -> Client {
        let client = ApiServer::builder().build().client();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        create(&namespaces, json!({"metadata": {"name": "other"}})).await;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "other");
        create(&accounts, json!({"metadata": {"name": "weir"}})).await;
        let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
        let binding = json!({
            "metadata": {"name": "weir"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "weir",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "weir", "namespace": "other"}],
        });
        create(&bindings, binding).await;
        client
    }

    #[tokio::test]
    async fn rights_that_another_installation_has_taken_are_named_with_the_way_back() {
        let client = taken_over().await;
        let found = findings(&client, &Settings::default()).await;
        let [Finding::Bad { what, remedy }] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(what.contains("ClusterRoleBinding weir for the namespace argo-rollouts"));
        assert!(what.ends_with("in the namespace other"), "{what}");
        for words in [
            "weir install --namespace other",
            "kubectl delete clusterrolebinding weir,",
            "weir install --namespace argo-rollouts",
        ] {
            assert!(remedy.contains(words), "{remedy}");
        }
        // The other one has what it needs, and a controller of one namespace needs none.
        for namespaced in [false, true] {
            let other = Settings {
                namespace: if namespaced { "argo-rollouts" } else { "other" }.to_owned(),
                namespaced,
                ..Settings::default()
            };
            let found = findings(&client, &other).await;
            assert!(found.is_empty(), "{found:?}");
        }
    }

    #[tokio::test]
    async fn an_installation_does_not_take_the_rights_of_another_one() {
        let client = taken_over().await;
        let settings = Settings::default();
        let options = InstallOptions {
            force_conflicts: true,
            ..InstallOptions::default()
        };
        let refused = options.apply(&client, &settings, &mut sink()).await;
        let told = format!("{:#}", refused.unwrap_err());
        for words in [
            "nothing is installed",
            "the ClusterRoleBinding weir is another installation's, in the namespace other",
            "weir install --namespace other",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
        let namespace_of = |binding: ClusterRoleBinding| {
            let subjects = binding.subjects.unwrap_or_default();
            subjects.into_iter().find_map(|subject| subject.namespace)
        };
        let live = bindings.get("weir").await.unwrap();
        assert_eq!(namespace_of(live).as_deref(), Some("other"));

        // What the remedy says: the other one gets its own, and this one the usual names.
        let other = Settings {
            namespace: "other".to_owned(),
            instance_id: Some("other".to_owned()),
            ..Settings::default()
        };
        install(&client, &other, &mut sink()).await.unwrap();
        let params = DeleteParams::default();
        bindings.delete("weir", &params).await.unwrap();
        install(&client, &settings, &mut sink()).await.unwrap();
        for (binding, namespace) in [("weir", "argo-rollouts"), ("weir:other", "other")] {
            let live = bindings.get(binding).await.unwrap();
            assert_eq!(namespace_of(live).as_deref(), Some(namespace));
        }
    }

    #[tokio::test]
    async fn what_is_left_of_an_installation_that_is_gone_is_taken_over() {
        let client = taken_over().await;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "other");
        let params = DeleteParams::default();
        accounts.delete("weir", &params).await.unwrap();
        let refusals = refusals(&client, &Settings::default()).await.unwrap();
        assert!(refusals.is_empty(), "{refusals:?}");
    }
}
