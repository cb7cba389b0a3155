package deploy

import (
	"bytes"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// objects are what a manifest has, by kind and name.
type objects struct {
	services    map[string]corev1.Service
	sets        map[string]appsv1.StatefulSet
	deployments map[string]appsv1.Deployment
	budgets     map[string]policyv1.PodDisruptionBudget
	ingresses   map[string]networkingv1.Ingress
}

// manifest decodes each document of a manifest into the type that the API server
// would, and refuses fields that the type does not have.
func manifest(t *testing.T, path string) objects {
	t.Helper()
	o := objects{make(map[string]corev1.Service), make(map[string]appsv1.StatefulSet), make(map[string]appsv1.Deployment),
		make(map[string]policyv1.PodDisruptionBudget), make(map[string]networkingv1.Ingress)}
	for _, doc := range documents(t, path) {
		var err error
		switch doc.APIVersion + " " + doc.Kind {
		case "v1 Service":
			err = decode(doc, o.services)
		case "apps/v1 StatefulSet":
			err = decode(doc, o.sets)
		case "apps/v1 Deployment":
			err = decode(doc, o.deployments)
		case "networking.k8s.io/v1 Ingress":
			err = decode(doc, o.ingresses)
		case "policy/v1 PodDisruptionBudget":
			err = decode(doc, o.budgets)
		default:
			t.Errorf("nothing here checks a %s %s", doc.APIVersion, doc.Kind)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", path, doc.Kind, err)
		}
	}
	return o
}

// document is one of a manifest.
type document struct {
	APIVersion, Kind string
	Metadata         struct{ Name string }
	text             []byte
}

func documents(t *testing.T, path string) (list []document) {
	t.Helper()
	for _, text := range bytes.Split(read(t, path), []byte("\n---\n")) {
		doc := document{text: text}
		if err := yaml.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if doc.Kind != "" { // else comments only
			list = append(list, doc)
		}
	}
	return list
}

func decode[T any](doc document, into map[string]T) error {
	var object T
	err := yaml.UnmarshalStrict(doc.text, &object)
	into[doc.Metadata.Name] = object
	return err
}

// checkIngress checks that only webhooks get in.
func checkIngress(t *testing.T, i networkingv1.Ingress, service string) {
	t.Helper()
	if len(i.Spec.Rules) != 1 || len(i.Spec.Rules[0].HTTP.Paths) != 1 {
		t.Fatal("the Ingress has other rules than one")
	}
	path := i.Spec.Rules[0].HTTP.Paths[0]
	if path.Path != "/webhooks" || *path.PathType != networkingv1.PathTypeExact || path.Backend.Service.Name != service {
		t.Errorf("the Ingress lets %s in for %s", path.Path, path.Backend.Service.Name)
	}
}

// checkSidecar checks what each pod with a sidecar needs.
func checkSidecar(t *testing.T, pod corev1.PodTemplateSpec, sidecar corev1.Container, hooks corev1.Service) {
	t.Helper()
	if s := pod.Spec.EnableServiceLinks; s == nil || *s {
		t.Error("Kubernetes adds variables of Services, such as HOOKSWITCH_PORT")
	}
	for _, name := range []string{hooks.Spec.Ports[0].TargetPort.StrVal, sidecar.LivenessProbe.HTTPGet.Port.StrVal, sidecar.ReadinessProbe.HTTPGet.Port.StrVal} {
		if name != sidecar.Ports[0].Name {
			t.Errorf("nothing listens on the port %q", name)
		}
	}
	if sidecar.LivenessProbe.HTTPGet.Path != "/livez" || sidecar.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Error("the probes ask for something else")
	}
	for label, value := range hooks.Spec.Selector {
		if pod.Labels[label] != value {
			t.Errorf("the Service selects %s=%s, which the pod is not", label, value)
		}
	}
	if c := sidecar.SecurityContext; c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
		t.Error("the sidecar can write to its own image")
	}
	if variable(sidecar, "HOOKSWITCH_TRUSTED_PROXIES") == "" {
		t.Error("records have the address of the Ingress")
	}
}

// variable returns the value of a variable of a container.
func variable(c corev1.Container, name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

func TestKubernetes(t *testing.T) {
	o := manifest(t, "examples/kubernetes/hookswitch.yaml")
	set, services := o.sets["app"], o.services
	pod := set.Spec.Template
	if len(pod.Spec.InitContainers) != 1 {
		t.Fatalf("%d init containers, want the sidecar", len(pod.Spec.InitContainers))
	}
	sidecar := pod.Spec.InitContainers[0]
	if p := sidecar.RestartPolicy; p == nil || *p != corev1.ContainerRestartPolicyAlways {
		t.Error("it is an init container that must end, not a sidecar: restartPolicy is not Always")
	}

	// Trap 1: the app is down, and the Service is empty.
	hooks, app := services["app-webhooks"], services["app"]
	if !hooks.Spec.PublishNotReadyAddresses {
		t.Error("trap 1: webhooks are refused while the app is not ready")
	}
	if app.Spec.PublishNotReadyAddresses {
		t.Error("trap 1: the app's own traffic reaches pods that are not ready")
	}
	// Trap 2: the sidecar outlives the app, and its volume must outlive both.
	claimed := make(map[string]bool)
	for _, claim := range set.Spec.VolumeClaimTemplates {
		claimed[claim.Name] = true
	}
	durable := false
	for _, mount := range sidecar.VolumeMounts {
		durable = durable || mount.MountPath == "/var/lib/hookswitch" && claimed[mount.Name]
	}
	if !durable {
		t.Error("trap 2: the data directory is not on a volume that outlives the pod")
	}
	// Trap 3: the app waits for a startupProbe only.
	if p := sidecar.StartupProbe; p == nil || p.HTTPGet == nil || p.HTTPGet.Path != "/readyz" {
		t.Error("trap 3: the app is started before the sidecar is ready")
	}

	checkSidecar(t, pod, sidecar, hooks)
	checkIngress(t, o.ingresses["app-webhooks"], hooks.Name)
	if g := pod.Spec.TerminationGracePeriodSeconds; g == nil || *g < 5+20+15 {
		t.Error("the pod is killed before the sidecar has drained")
	}
	// One pod: a budget that leaves one to be evicted guards nothing.
	if m := o.budgets["app"].Spec.MaxUnavailable; m == nil || m.IntValue() != 0 {
		t.Error("a drain of its node evicts the only pod")
	}
}

// Two pods: while one is replaced, evicted or told to stop, the other is ready.
func TestReplicas(t *testing.T) {
	o := manifest(t, "examples/kubernetes/replicas.yaml")
	d, hooks := o.deployments["hookswitch"], o.services["hookswitch"]
	pod := d.Spec.Template
	if len(pod.Spec.Containers) != 1 {
		t.Fatalf("%d containers, want the sidecar", len(pod.Spec.Containers))
	}
	sidecar := pod.Spec.Containers[0]
	checkSidecar(t, pod, sidecar, hooks)
	checkIngress(t, o.ingresses["hookswitch"], hooks.Name)

	if d.Spec.Replicas == nil || *d.Spec.Replicas < 2 {
		t.Error("fewer than two replicas")
	}
	r := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || r == nil || r.MaxUnavailable.IntValue() != 0 || r.MaxSurge.IntValue() < 1 {
		t.Errorf("an update takes a pod away before there is another: %+v", d.Spec.Strategy)
	}
	if hooks.Spec.PublishNotReadyAddresses {
		t.Error("pods that are stopping stay in the Service")
	}
	delay, err := time.ParseDuration(variable(sidecar, "HOOKSWITCH_DRAIN_DELAY"))
	if err != nil {
		t.Fatal(err)
	}
	probe := sidecar.ReadinessProbe
	if noticed := time.Duration(probe.PeriodSeconds*probe.FailureThreshold) * time.Second; delay < noticed+10*time.Second {
		t.Errorf("webhooks are accepted for %v after the end of readiness, which takes %v to be noticed", delay, noticed)
	}
	if g := pod.Spec.TerminationGracePeriodSeconds; g == nil || time.Duration(*g)*time.Second < delay+2*20*time.Second+50*time.Second {
		t.Error("the pod is killed before the sidecar has drained")
	}
	budget := o.budgets["hookswitch"].Spec
	if budget.MinAvailable == nil || budget.MinAvailable.IntValue() < 1 || budget.MinAvailable.IntValue() >= int(*d.Spec.Replicas) {
		t.Error("the budget guards nothing, or keeps every node from being drained")
	}
	for label, value := range budget.Selector.MatchLabels {
		if pod.Labels[label] != value {
			t.Errorf("the budget is for %s=%s, which the pod is not", label, value)
		}
	}
	// Where it must not write it cannot, and what it must keep is in the database.
	mounted := false
	for _, m := range sidecar.VolumeMounts {
		mounted = mounted || m.MountPath == variable(sidecar, "HOOKSWITCH_DATA_DIR")
	}
	if !mounted {
		t.Error("the data directory is in the image, which cannot be written to")
	}
}
