package schema_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/dpesim/dpesim/docs/schema"
	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
)

// compiled reads a schema.
func compiled(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("it.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("it.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The schema and the engine refuse the same front matters.
func TestFrontMatterIsWhatTheEngineTakes(t *testing.T) {
	t.Parallel()
	s := compiled(t, schema.FrontMatter)
	for _, matter := range []string{
		"title: A", "title: ''", "title: ' '", "summary: none", "title: A\nsummary: B", "title: A\nminutes: 5", "title: A\nminutes: -1", "title: A\nminutes: five",
		"title: A\nminutes: 1.5", "title: A\nclusters: [inprocess, kind]", "title: A\nclusters: inprocess", "title: A\nclusters-because: It must", "title: A\nclusters-because: [a]", "title: A\nseed: 7", "title: A\nseed: -7",
		"title: A\ntags: [a, b]", "title: A\ntags: {a: b}", "title: A\nclock: real", "title: A\nclock: virtual", "title: A\nclock: 2027-01-31T08:00:00Z",
		"title: A\nclock: 2027-01-31T08:00:00+01:00", "title: A\nclock: tomorrow", "title: A\nclock: 2027-01-31", "title: A\nnosuch: 1", "title: [A]",
	} {
		_, err := engine.Parse("x.md", []byte("---\n"+matter+"\n---\n## A\n```sh check\ntrue\n```\n"))
		var node yaml.Node
		if err := yaml.Unmarshal([]byte(matter), &node); err != nil {
			t.Fatal(err)
		}
		untimed(&node)
		var doc any
		if err := node.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		if wrong := s.Validate(doc); (wrong == nil) != (err == nil) {
			t.Errorf("%q: the engine says %v, the schema %v", matter, err, wrong)
		}
	}
	for _, name := range scenarios.Names() {
		src, err := scenarios.Source(name)
		if err != nil {
			t.Fatal(err)
		}
		matter, _, _ := strings.Cut(strings.TrimPrefix(string(src), "---\n"), "\n---\n")
		var doc any
		if err := yaml.Unmarshal([]byte(matter), &doc); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// untimed makes text of times, as they are in the YAML of editors (1.2).
func untimed(n *yaml.Node) {
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, c := range n.Content {
		untimed(c)
	}
}

// A key that is added to the front matter, or a field to the lines of JSON, belongs into the schemas.
func TestSchemasHaveEveryKeyAndField(t *testing.T) {
	t.Parallel()
	_, err := engine.Parse("x.md", []byte("---\ntitle: A\nnosuch: 1\n---\n## A\n```sh check\ntrue\n```\n"))
	if err == nil {
		t.Fatal("any key is taken")
	}
	_, list, _ := strings.Cut(err.Error(), "front matter has ")
	keys := strings.Split(list, ", ")
	slices.Sort(keys)
	type object struct {
		Properties map[string]struct {
			Description string
			Enum        []string
			Items       *object
		}
	}
	var matter, events object
	for text, to := range map[*[]byte]*object{&schema.FrontMatter: &matter, &schema.Events: &events} {
		if err := json.Unmarshal(*text, to); err != nil {
			t.Fatal(err)
		}
		for name, p := range to.Properties {
			if p.Description == "" && len(p.Enum) == 0 {
				t.Errorf("%s is not described", name)
			}
		}
	}
	if diff := cmp.Diff(keys, slices.Sorted(maps.Keys(matter.Properties))); diff != "" {
		t.Errorf("front matter, engine and schema:\n%s", diff)
	}
	for _, x := range []struct {
		of   reflect.Type
		have object
	}{{reflect.TypeFor[engine.Line](), events}, {reflect.TypeFor[engine.Clue](), *events.Properties["clues"].Items}} {
		var fields []string
		for f := range x.of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, name)
		}
		slices.Sort(fields)
		if diff := cmp.Diff(fields, slices.Sorted(maps.Keys(x.have.Properties))); diff != "" {
			t.Errorf("%s, engine and schema:\n%s", x.of, diff)
		}
	}
}

// What a run prints is what the schema says; with a property changed or gone it is not.
func TestEventsAreWhatARunPrints(t *testing.T) {
	t.Parallel()
	s := compiled(t, schema.Events)
	sc, err := engine.Parse("x.md", []byte("---\ntitle: A\n---\n## Good\n```sh run\nsay hello\n```\n```sh finally\ntrue\n```\n## Bad\n```sh check\necho shown\nfalse\n```\n```text hint\nLook.\n```\n"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, o := range []engine.Options{
		{Diagnose: func(context.Context, engine.StepFinished) engine.Diagnosis {
			return engine.Diagnosis{Clues: []engine.Clue{{Title: "why", Text: "because"}}}
		}},
		{Keep: true},
	} {
		o.Dir, o.NoExec, o.Report = t.TempDir(), true, engine.JSON{W: &out}
		if err := engine.Run(t.Context(), sc, o); err == nil {
			t.Fatal("it passes")
		}
	}
	lines := 0
	for text := range strings.Lines(out.String()) {
		lines++
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		object, ok := doc.(map[string]any)
		if !ok {
			t.Fatalf("%s is no object", text)
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			changed := maps.Clone(object)
			changed[name] = map[string]any{}
			if s.Validate(changed) == nil {
				t.Errorf("%s may be an object in %s", name, text)
			}
		}
		for _, name := range []string{"event", "file", "ok", "error"} {
			changed := maps.Clone(object)
			delete(changed, name)
			if _, there := object[name]; there && s.Validate(changed) == nil {
				t.Errorf("%s may be missing in %s", name, text)
			}
		}
	}
	if lines != 14 {
		t.Errorf("%d lines:\n%s", lines, &out)
	}
}

// No schema names what does not exist.
func TestSchemasNameNoPlace(t *testing.T) {
	t.Parallel()
	for _, text := range [][]byte{schema.FrontMatter, schema.Events} {
		if m := regexp.MustCompile(`https?://[^"]*`).FindAll(text, -1); fmt.Sprintf("%s", m) != "[http://json-schema.org/draft-07/schema#]" {
			t.Errorf("it names %s", m)
		}
	}
}
