package deploy

import (
	"bytes"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// manifest decodes each document of the manifest into the type that the API
// server would, and refuses fields that the type does not have.
func manifest(t *testing.T) (set appsv1.StatefulSet, services map[string]corev1.Service) {
	t.Helper()
	services = make(map[string]corev1.Service)
	for _, doc := range bytes.Split(read(t, "examples/kubernetes/hookswitch.yaml"), []byte("\n---\n")) {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			t.Fatal(err)
		}
		var err error
		switch kind.APIVersion + " " + kind.Kind {
		case " ": // comments only
		case "v1 Service":
			var s corev1.Service
			err = yaml.UnmarshalStrict(doc, &s)
			services[s.Name] = s
		case "apps/v1 StatefulSet":
			err = yaml.UnmarshalStrict(doc, &set)
		case "networking.k8s.io/v1 Ingress":
			var i networkingv1.Ingress
			if err = yaml.UnmarshalStrict(doc, &i); err == nil {
				path := i.Spec.Rules[0].HTTP.Paths[0]
				if path.Path != "/webhooks" || *path.PathType != networkingv1.PathTypeExact || path.Backend.Service.Name != "app-webhooks" {
					t.Errorf("the Ingress lets %s in for %s", path.Path, path.Backend.Service.Name)
				}
			}
		case "policy/v1 PodDisruptionBudget":
			err = yaml.UnmarshalStrict(doc, &policyv1.PodDisruptionBudget{})
		default:
			t.Errorf("nothing here checks a %s %s", kind.APIVersion, kind.Kind)
		}
		if err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
	}
	return set, services
}

func TestKubernetes(t *testing.T) {
	set, services := manifest(t)
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

	if s := pod.Spec.EnableServiceLinks; s == nil || *s {
		t.Error("Kubernetes adds variables of Services, such as HOOKSWITCH_PORT")
	}
	if g := pod.Spec.TerminationGracePeriodSeconds; g == nil || *g < 5+20+15 {
		t.Error("the pod is killed before the sidecar has drained")
	}
	for _, name := range []string{hooks.Spec.Ports[0].TargetPort.StrVal, sidecar.LivenessProbe.HTTPGet.Port.StrVal} {
		if name != sidecar.Ports[0].Name {
			t.Errorf("nothing listens on the port %q", name)
		}
	}
	for label, value := range hooks.Spec.Selector {
		if pod.Labels[label] != value {
			t.Errorf("the Service selects %s=%s, which the pod is not", label, value)
		}
	}
	if c := sidecar.SecurityContext; c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
		t.Error("the sidecar can write to its own image")
	}
}
