//! The step hash.

use super::encode::Encoder;
use super::fnv::{fnv1a_32, safe_encode};
use super::shape::{
    Omit::{Always, Empty},
    Shape::{self, Bool, Int32, IntOrString, List, Map, Object, Ptr, Raw, Str},
    Struct, f,
};
use serde_json::Value;

/// Row 0 is a step. Orders are those of rollouts.md §1.2 and §2.3.
#[rustfmt::skip]
static STEP: &[Struct] = &[
    /* 0 CanaryStep */ &[
        f("setWeight", Empty, Ptr(&Int32)),
        f("pause", Empty, Ptr(&Object(1))),
        f("experiment", Empty, Ptr(&Object(2))),
        f("analysis", Empty, Ptr(&Object(6))),
        f("setCanaryScale", Empty, Ptr(&Object(13))),
        f("setHeaderRoute", Empty, Ptr(&Object(14))),
        f("setMirrorRoute", Empty, Ptr(&Object(17))),
        f("plugin", Empty, Ptr(&Object(19))),
    ],
    /* 1 RolloutPause */ &[f("duration", Empty, Ptr(&IntOrString))],
    /* 2 RolloutExperimentStep */ &[
        f("templates", Always, List(&Object(3))),
        f("duration", Empty, Str),
        f("analyses", Empty, List(&Object(5))),
        f("dryRun", Empty, List(&Object(11))),
        f("analysisRunMetadata", Always, Object(4)),
        f("scaleDownDelaySeconds", Empty, Ptr(&Int32)),
    ],
    /* 3 RolloutExperimentTemplate */ &[
        f("name", Always, Str),
        f("specRef", Always, Str),
        f("replicas", Empty, Ptr(&Int32)),
        f("metadata", Always, Object(4)),
        f("selector", Empty, Ptr(&Object(20))),
        f("weight", Empty, Ptr(&Int32)),
        f("service", Empty, Ptr(&Object(22))),
    ],
    /* 4 labels and annotations */ &[
        f("labels", Empty, Map(&Str)),
        f("annotations", Empty, Map(&Str)),
    ],
    /* 5 RolloutExperimentStepAnalysisTemplateRef */ &[
        f("name", Always, Str),
        f("templateName", Always, Str),
        f("clusterScope", Empty, Bool),
        f("args", Empty, List(&Object(8))),
        f("requiredForCompletion", Empty, Bool),
    ],
    /* 6 RolloutAnalysis */ &[
        f("templates", Empty, List(&Object(7))),
        f("args", Empty, List(&Object(8))),
        f("dryRun", Empty, List(&Object(11))),
        f("measurementRetention", Empty, List(&Object(12))),
        f("analysisRunMetadata", Empty, Ptr(&Object(4))),
    ],
    /* 7 AnalysisTemplateRef */ &[f("templateName", Always, Str), f("clusterScope", Empty, Bool)],
    /* 8 AnalysisRunArgument */ &[
        f("name", Always, Str),
        f("value", Empty, Str),
        f("valueFrom", Empty, Ptr(&Object(9))),
    ],
    /* 9 ArgumentValueFrom */ &[
        f("podTemplateHashValue", Empty, Ptr(&Str)),
        f("fieldRef", Empty, Ptr(&Object(10))),
    ],
    /* 10 FieldRef */ &[f("fieldPath", Always, Str)],
    /* 11 DryRun */ &[f("metricName", Always, Str)],
    /* 12 MeasurementRetention */ &[f("metricName", Always, Str), f("limit", Always, Int32)],
    /* 13 SetCanaryScale */ &[
        f("weight", Empty, Ptr(&Int32)),
        f("replicas", Empty, Ptr(&Int32)),
        f("matchTrafficWeight", Empty, Bool),
    ],
    /* 14 SetHeaderRoute */ &[f("name", Empty, Str), f("match", Empty, List(&Object(15)))],
    /* 15 HeaderRoutingMatch */ &[
        f("headerName", Always, Str),
        f("headerValue", Always, Ptr(&Object(16))),
    ],
    /* 16 StringMatch */ &[
        f("exact", Empty, Str),
        f("prefix", Empty, Str),
        f("regex", Empty, Str),
    ],
    /* 17 SetMirrorRoute */ &[
        f("name", Always, Str),
        f("match", Empty, List(&Object(18))),
        f("percentage", Empty, Ptr(&Int32)),
    ],
    /* 18 RouteMatch */ &[
        f("method", Empty, Ptr(&Object(16))),
        f("path", Empty, Ptr(&Object(16))),
        f("headers", Empty, Map(&Object(16))),
    ],
    /* 19 PluginStep */ &[f("name", Always, Str), f("config", Empty, Raw)],
    /* 20 LabelSelector */ &[
        f("matchLabels", Empty, Map(&Str)),
        f("matchExpressions", Empty, List(&Object(21))),
    ],
    /* 21 LabelSelectorRequirement */ &[
        f("key", Always, Str),
        f("operator", Always, Str),
        f("values", Empty, List(&Str)),
    ],
    /* 22 TemplateService */ &[f("name", Empty, Str)],
];

static STEPS: Shape = List(&Object(0));

/// The bytes that are hashed: the steps as Go's `encoding/json` writes a list of `CanaryStep`.
pub fn canonical_steps(steps: Option<&Value>) -> String {
    Encoder::encode(STEP, STEPS, steps)
}

/// `status.currentStepHash` of a canary (rollouts.md §2.3). `steps` is
/// `spec.strategy.canary.steps`; absent steps have a hash too, and it is not that of an empty list.
pub fn step_hash(steps: Option<&Value>) -> String {
    safe_encode(fnv1a_32(&[canonical_steps(steps).as_bytes()]))
}
