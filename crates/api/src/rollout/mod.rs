//! The Rollout: a Deployment whose updates go through a strategy.

mod defaults;
mod spec;
mod status;
mod step;
mod strategy;
mod traffic;

pub use spec::{
    ObjectRef, Rollout, RolloutHistoryLimits, RolloutRollbackWindowSpec, RolloutSpec,
    RolloutStrategy, ScaleDownOnSuccess,
};
pub use status::{
    AlbStatus, AwsResourceRef, BlueGreenStatus, CanaryStatus, CompletionStatus, PauseCondition,
    PauseReason, PingPongType, RolloutAnalysisRunStatus, RolloutCondition, RolloutDuration,
    RolloutPhase, RolloutStatus, StepPluginOperation, StepPluginPhase, StepPluginStatus,
    TrafficWeights, WeightDestination,
};
pub use step::{
    CanaryStep, HeaderRoutingMatch, PluginStep, RolloutExperimentStep,
    RolloutExperimentStepAnalysisTemplateRef, RolloutExperimentTemplate, RolloutPause, RouteMatch,
    SetCanaryScale, SetHeaderRoute, SetMirrorRoute, SpecRef, StringMatch, TemplateService,
};
pub use strategy::{
    AnalysisRunArgument, AnalysisRunMetadata, AnalysisTemplateRef, AntiAffinity, ArgumentValueFrom,
    BlueGreenStrategy, CanaryStrategy, FieldRef, PingPongSpec, PodTemplateMetadata,
    PreferredDuringSchedulingIgnoredDuringExecution, ReplicaProgressThreshold,
    ReplicaProgressThresholdType, RequiredDuringSchedulingIgnoredDuringExecution, RolloutAnalysis,
    RolloutAnalysisBackground, ValueFromPodTemplateHash,
};
pub use traffic::{
    AlbTrafficRouting, AmbassadorTrafficRouting, ApisixRoute, ApisixTrafficRouting,
    AppMeshTrafficRouting, AppMeshVirtualNodeGroup, AppMeshVirtualNodeReference,
    AppMeshVirtualService, IstioDestinationRule, IstioTrafficRouting, IstioVirtualService,
    MangedRoutes, NginxTrafficRouting, RolloutTrafficRouting, SmiTrafficRouting, StickinessConfig,
    TcpRoute, TlsRoute, TraefikTrafficRouting,
};
