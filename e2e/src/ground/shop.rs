//! A workload behind the gateway, to be rolled out over and over: in one of several ways, under a
//! host name of its own.

use std::fmt;

/// How a new version takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A canary by weights of an HTTPRoute.
    Weighted,
    /// The same with `dynamicStableScale`: pods go as their traffic goes.
    Dynamic,
    /// A canary by the number of pods behind one Service.
    Counted,
    /// Blue-green by the selector of the active Service.
    BlueGreen,
}

/// Those of one row at a time: together they would be more load than two cores carry.
pub(crate) const WAYS: [&[Way]; 2] = [
    &[Way::Weighted, Way::Counted, Way::BlueGreen],
    &[Way::Dynamic],
];

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weighted => "weighted",
            Self::Dynamic => "dynamic",
            Self::Counted => "counted",
            Self::BlueGreen => "blue-green",
        })
    }
}

/// One Rollout with its Services and its route, all named [`NAME`].
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) way: Way,
    pub(crate) namespace: String,
}

pub(crate) const NAME: &str = "shop";

const ROLLOUT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: shop
spec:
  replicas: 4
  revisionHistoryLimit: 2
  progressDeadlineSeconds: 60
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      containers:
      - name: shop
        image: weir/demo:$TAG
        ports:
        - {name: http, containerPort: 8080}
        readinessProbe:
          httpGet: {path: /health, port: http}
          periodSeconds: 1
        lifecycle:
          preStop:
            sleep: {seconds: 5}
  strategy:
$STRATEGY
";

const WEIGHTED: &str = "
    canary:
      stableService: shop
      canaryService: shop-canary
      scaleDownDelaySeconds: 3
      abortScaleDownDelaySeconds: 3
      trafficRouting:
        plugins:
          argoproj-labs/gatewayAPI: {httpRoute: shop}
      steps:
      - setWeight: 25
      - pause: {duration: 2s}
      - setWeight: 60
      - pause: {duration: 2s}
";

const DYNAMIC: &str = "
    canary:
      stableService: shop
      canaryService: shop-canary
      dynamicStableScale: true
      abortScaleDownDelaySeconds: 3
      trafficRouting:
        plugins:
          argoproj-labs/gatewayAPI: {httpRoute: shop}
      steps:
      - setWeight: 25
      - pause: {duration: 2s}
      - setWeight: 60
      - pause: {duration: 2s}
";

const COUNTED: &str = "
    canary:
      maxSurge: 1
      maxUnavailable: 0
      steps:
      - setWeight: 25
      - pause: {duration: 2s}
      - setWeight: 50
      - pause: {duration: 2s}
";

const BLUE_GREEN: &str = "
    blueGreen:
      activeService: shop
      previewService: shop-canary
      autoPromotionSeconds: 2
      scaleDownDelaySeconds: 3
      abortScaleDownDelaySeconds: 3
";

const SERVICE: &str = "
---
apiVersion: v1
kind: Service
metadata:
  name: $NAME
spec:
  selector: {app: shop}
  ports:
  - {name: http, port: 80, targetPort: http}
";

const ROUTE: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: shop
spec:
  parentRefs:
  - {name: weir, namespace: weir-sandbox}
  hostnames: [$HOST]
  rules:
  - backendRefs:
";

impl Shop {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            namespace: format!("shop-{way}"),
        }
    }

    pub(crate) fn host(&self) -> String {
        format!("{}.example", self.namespace)
    }

    /// The Services and the route: what is applied once.
    pub(crate) fn entrance(&self) -> String {
        let mut text = SERVICE.replace("$NAME", NAME);
        if self.way != Way::Counted {
            text += &SERVICE.replace("$NAME", "shop-canary");
        }
        text += &ROUTE.replace("$HOST", &self.host());
        text += "    - {name: shop, port: 80, weight: 100}\n";
        if matches!(self.way, Way::Weighted | Way::Dynamic) {
            text += "    - {name: shop-canary, port: 80, weight: 0}\n";
        }
        text
    }

    /// The Rollout, with `tag` of the demo workload.
    pub(crate) fn rollout(&self, tag: &str) -> String {
        let strategy = match self.way {
            Way::Weighted => WEIGHTED,
            Way::Dynamic => DYNAMIC,
            Way::Counted => COUNTED,
            Way::BlueGreen => BLUE_GREEN,
        };
        ROLLOUT
            .replace("$TAG", tag)
            .replace("$STRATEGY", strategy.trim_matches('\n'))
    }
}
