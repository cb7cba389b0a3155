package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// schemasEnv names the folder with the schemas that Kubernetes publishes of its API,
// api/openapi-spec/v3 of its repository. make deploy sets it.
const schemasEnv = "HOOKSWITCH_KUBERNETES_SCHEMAS"

// TestSchemas validates the manifests against the published schemas, in which what
// is not described is not allowed, as with kubectl apply.
func TestSchemas(t *testing.T) {
	dir := os.Getenv(schemasEnv)
	if dir == "" {
		t.Skipf("%s is not set: run this with make deploy, which fetches the schemas", schemasEnv)
	}
	compiled := make(map[string]*jsonschema.Schema)
	schemaOf := func(doc document) *jsonschema.Schema {
		key := doc.APIVersion + " " + doc.Kind
		if compiled[key] == nil {
			compiled[key] = compile(t, dir, doc)
		}
		return compiled[key]
	}
	for _, path := range []string{"examples/kubernetes/hookswitch.yaml", "examples/kubernetes/replicas.yaml"} {
		for _, doc := range documents(t, path) {
			if err := validate(schemaOf(doc), doc.text); err != nil {
				t.Errorf("%s: %s %s: %v", path, doc.Kind, doc.Metadata.Name, err)
			}
		}
	}
	// A schema that refuses nothing would prove nothing.
	doc := document{APIVersion: "apps/v1", Kind: "Deployment"}
	for _, tt := range []struct {
		spec string
		ok   bool
	}{
		{"replicas: 2, selector: {}, template: {spec: {containers: [{name: x, ports: [{containerPort: 80}]}]}}", true},
		{"replicas: two, selector: {}, template: {}", false},
		{"replicaz: 2, selector: {}, template: {}", false},
		{"replicas: 2, template: {}", false},
		{"selector: {}, template: {spec: {containers: [{image: x}]}}", false},
		{"selector: {}, template: {spec: {containers: [{name: x, ports: [{containerPort: http}]}]}}", false},
		{"selector: {}, template: {spec: {containers: [{name: x, livenessProbe: {httpGet: {path: /}}}]}}", false},
	} {
		if err := validate(schemaOf(doc), []byte("apiVersion: apps/v1\nkind: Deployment\nspec: {"+tt.spec+"}\n")); (err == nil) != tt.ok {
			t.Errorf("a Deployment with %s: %v", tt.spec, err)
		}
	}
}

func validate(schema *jsonschema.Schema, text []byte) error {
	plain, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// compile returns the schema of a kind.
func compile(t *testing.T, dir string, doc document) *jsonschema.Schema {
	t.Helper()
	file := "api__" + doc.APIVersion + "_openapi.json"
	if group, version, found := strings.Cut(doc.APIVersion, "/"); found {
		file = "apis__" + group + "__" + version + "_openapi.json"
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	group, version, _ := strings.Cut(doc.APIVersion, "/")
	if version == "" {
		group, version = "", group
	}
	name := ""
	for candidate, schema := range spec.Components.Schemas {
		strict(schema)
		if fmt.Sprint(schema["x-kubernetes-group-version-kind"]) == fmt.Sprint([]any{map[string]any{"group": group, "kind": doc.Kind, "version": version}}) {
			name = candidate
		}
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	if err := c.AddResource("mem:///"+file, map[string]any{"components": map[string]any{"schemas": anyMap(spec.Components.Schemas)}}); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("mem:///" + file + "#/components/schemas/" + name)
	if err != nil {
		t.Fatalf("%s %s: %v", doc.APIVersion, doc.Kind, err)
	}
	return schema
}

// strict makes an object allow only the properties that it describes.
func strict(schema map[string]any) {
	if _, described := schema["properties"]; described && schema["additionalProperties"] == nil {
		schema["additionalProperties"] = false
	}
}

func anyMap(m map[string]map[string]any) map[string]any {
	all := make(map[string]any, len(m))
	for name, value := range m {
		all[name] = value
	}
	return all
}
