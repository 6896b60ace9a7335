// Writes the table of built-in types for crates/structural: names, JSON types, list and map types,
// merge keys, required fields. Facts only, no descriptions.
//
//	go run . > ../../../crates/structural/src/generated/types.json
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	generated "k8s.io/kubernetes/pkg/generated/openapi"
)

// roots are the kinds that the embedded API server serves; all that they refer to comes along.
var roots = []string{
	"k8s.io/api/core/v1.Pod", "k8s.io/api/core/v1.Service", "k8s.io/api/core/v1.ConfigMap",
	"k8s.io/api/core/v1.Secret", "k8s.io/api/core/v1.ServiceAccount", "k8s.io/api/core/v1.Namespace",
	"k8s.io/api/core/v1.Node", "k8s.io/api/core/v1.Event", "k8s.io/api/core/v1.Endpoints",
	"k8s.io/api/core/v1.PodTemplate", "k8s.io/api/core/v1.PersistentVolumeClaim",
	"k8s.io/api/core/v1.PersistentVolume", "k8s.io/api/core/v1.ReplicationController",
	"k8s.io/api/core/v1.LimitRange", "k8s.io/api/core/v1.ResourceQuota", "k8s.io/api/core/v1.Binding",
	"k8s.io/api/apps/v1.ReplicaSet", "k8s.io/api/apps/v1.Deployment", "k8s.io/api/apps/v1.StatefulSet",
	"k8s.io/api/apps/v1.DaemonSet", "k8s.io/api/apps/v1.ControllerRevision",
	"k8s.io/api/batch/v1.Job", "k8s.io/api/batch/v1.CronJob",
	"k8s.io/api/networking/v1.Ingress", "k8s.io/api/networking/v1.IngressClass",
	"k8s.io/api/networking/v1.NetworkPolicy", "k8s.io/api/networking/v1.IPAddress",
	"k8s.io/api/networking/v1.ServiceCIDR",
	"k8s.io/api/autoscaling/v2.HorizontalPodAutoscaler", "k8s.io/api/autoscaling/v1.HorizontalPodAutoscaler",
	"k8s.io/api/autoscaling/v1.Scale",
	"k8s.io/api/policy/v1.PodDisruptionBudget", "k8s.io/api/policy/v1.Eviction",
	"k8s.io/api/rbac/v1.Role", "k8s.io/api/rbac/v1.RoleBinding", "k8s.io/api/rbac/v1.ClusterRole",
	"k8s.io/api/rbac/v1.ClusterRoleBinding",
	"k8s.io/api/coordination/v1.Lease", "k8s.io/api/discovery/v1.EndpointSlice",
	"k8s.io/api/events/v1.Event", "k8s.io/api/storage/v1.StorageClass",
	"k8s.io/api/scheduling/v1.PriorityClass",
	"k8s.io/api/admissionregistration/v1.MutatingWebhookConfiguration",
	"k8s.io/api/admissionregistration/v1.ValidatingWebhookConfiguration",
	"k8s.io/api/authorization/v1.SelfSubjectAccessReview", "k8s.io/api/authorization/v1.SubjectAccessReview",
	"k8s.io/api/authentication/v1.TokenRequest",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.CustomResourceDefinition",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Status", "k8s.io/apimachinery/pkg/apis/meta/v1.DeleteOptions",
	"k8s.io/apimachinery/pkg/apis/meta/v1.ListMeta",
}

// anything are types whose Go form says nothing of their JSON form.
var anything = map[string]map[string]any{
	"io.k8s.apimachinery.pkg.api.resource.Quantity":                                         {"x-kubernetes-int-or-string": true},
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString":                                       {"x-kubernetes-int-or-string": true},
	"io.k8s.apimachinery.pkg.runtime.RawExtension":                                          {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":                                         {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON":                         {"x-kubernetes-preserve-unknown-fields": true},
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool":        {"x-kubernetes-preserve-unknown-fields": true},
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray":       {"x-kubernetes-preserve-unknown-fields": true},
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": {"x-kubernetes-preserve-unknown-fields": true},
}

var extensions = []string{
	"x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
	"x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key", "x-kubernetes-preserve-unknown-fields",
}

func name(path string) string {
	domain, rest, _ := strings.Cut(path, "/")
	parts := strings.Split(domain, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".") + "." + strings.ReplaceAll(rest, "/", ".")
}

type table struct {
	defs    map[string]common.OpenAPIDefinition
	out     map[string]map[string]any
	pending []string
}

func (t *table) node(s *spec.Schema) map[string]any {
	out := map[string]any{}
	if ref := s.Ref.String(); ref != "" {
		t.pending = append(t.pending, ref)
		out["$ref"] = name(ref)
	}
	if len(s.Type) == 1 {
		out["type"] = s.Type[0]
	}
	if s.Format != "" {
		out["format"] = s.Format
	}
	if len(s.Required) > 0 {
		out["required"] = s.Required
	}
	if len(s.Enum) > 0 {
		out["enum"] = s.Enum
	}
	switch d := s.Default.(type) {
	case string:
		if d != "" {
			out["default"] = d
		}
	case bool:
		if d {
			out["default"] = d
		}
	case float64, int:
		if d != 0 && d != float64(0) {
			out["default"] = d
		}
	}
	for _, key := range extensions {
		if value, ok := s.Extensions[key]; ok {
			out[key] = value
		}
	}
	if s.Items != nil && s.Items.Schema != nil {
		out["items"] = t.node(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		out["additionalProperties"] = t.node(s.AdditionalProperties.Schema)
	}
	if len(s.Properties) > 0 {
		properties := map[string]any{}
		for key, property := range s.Properties {
			properties[key] = t.node(&property)
		}
		out["properties"] = properties
	}
	// `allOf` with one reference is how a reference carries a default or list type of its own.
	if len(s.AllOf) == 1 {
		for key, value := range t.node(&s.AllOf[0]) {
			out[key] = value
		}
	}
	return out
}

func main() {
	log.SetFlags(0)
	t := &table{
		defs:    generated.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.MustCreateRef(path) }),
		out:     map[string]map[string]any{},
		pending: append([]string{}, roots...),
	}
	for len(t.pending) > 0 {
		path := t.pending[0]
		t.pending = t.pending[1:]
		if _, done := t.out[name(path)]; done {
			continue
		}
		if fixed, ok := anything[name(path)]; ok {
			t.out[name(path)] = fixed
			continue
		}
		def, ok := t.defs[path]
		if !ok {
			log.Fatalf("no definition of %s", path)
		}
		t.out[name(path)] = t.node(&def.Schema)
	}
	names := make([]string, 0, len(t.out))
	for key := range t.out {
		names = append(names, key)
	}
	sort.Strings(names)
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	fmt.Fprintln(w, "{")
	for i, key := range names {
		line, err := json.Marshal(t.out[key])
		if err != nil {
			log.Fatal(err)
		}
		comma := ","
		if i == len(names)-1 {
			comma = ""
		}
		fmt.Fprintf(w, "%q: %s%s\n", key, line, comma)
	}
	fmt.Fprintln(w, "}")
}
