//! Root objects that kube's derive can't express.

/// Defines a root object: `{apiVersion, kind, metadata, spec, …}` with its fields, and implements
/// `kube_core::Resource` and serde for it.
///
/// kube's derive gives every kind with a status the `status` subresource, allows only `spec` and
/// `status` beside the metadata, and wants a spec type of its own for each kind. The kinds that
/// need it otherwise (AnalysisRun, Experiment: no subresource; Application: `operation` beside
/// spec; ClusterAnalysisTemplate: the spec of AnalysisTemplate) are defined with this.
macro_rules! root_object {
    (
        $(#[$doc:meta])*
        $scope:ident $kind:ident($plural:literal) {
            $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $kind {
            #[schemars(skip)]
            pub metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                #[derive(serde::Serialize)]
                #[serde(rename_all = "camelCase")]
                struct Wire<'a> {
                    api_version: &'static str,
                    kind: &'static str,
                    metadata: &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
                    $(
                        #[serde(skip_serializing_if = "crate::resource::Absent::is_absent")]
                        $field: &'a $type,
                    )*
                }
                Wire {
                    api_version: $crate::constants::API_VERSION,
                    kind: stringify!($kind),
                    metadata: &self.metadata,
                    $($field: &self.$field,)*
                }
                .serialize(serializer)
            }
        }

        impl kube_core::Resource for $kind {
            type DynamicType = ();
            type Scope = kube_core::$scope;

            fn group(_: &()) -> std::borrow::Cow<'_, str> {
                $crate::constants::GROUP.into()
            }

            fn version(_: &()) -> std::borrow::Cow<'_, str> {
                $crate::constants::VERSION.into()
            }

            fn kind(_: &()) -> std::borrow::Cow<'_, str> {
                stringify!($kind).into()
            }

            fn api_version(_: &()) -> std::borrow::Cow<'_, str> {
                $crate::constants::API_VERSION.into()
            }

            fn plural(_: &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use root_object;

/// Whether a field of a root object is left out of JSON.
pub(crate) trait Absent {
    fn is_absent(&self) -> bool {
        false
    }
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Absent> Absent for &T {
    fn is_absent(&self) -> bool {
        T::is_absent(self)
    }
}
