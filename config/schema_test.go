package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v4"

	"twilio-sts/config"
)

// beyondSchema are the faults that no schema sees: what names mean to each
// other, what stands in files and variables, what is there twice, how long a
// duration is, and what expressions and tests say.
var beyondSchema = []string{
	"auth-token", "duplicate-key", "duplicate-name", "empty-file", "expression-from-outside", "invalid-default", "invalid-pattern",
	"merge-key", "missing-tenants", "no-identity-key", "not-a-condition", "not-json", "second-document", "short-key", "skew-too-long",
	"syntax", "template-syntax", "test-failed", "ttl-too-long", "type", "type-mismatch", "unknown-account", "unknown-issuer",
	"unknown-name", "unknown-origin", "unknown-parameter", "unreadable-file", "unset-variable", "video-region", "voice-identity", "yaml-syntax",
}

// stricter is where the schema asks for more than the loader, so that editors
// complete the usual way to write it.
var stricter = []string{
	"issuers[0].clock_skew: 0", // 0s
	"server.admin_listen:  ",   // ""
	"tests[0].expect.ttl: 0",   // 0s
}

// TestSchemaKnowsTheLoadersKeys asks the loader, at each mapping of a document
// that has every key of the schema, which keys it knows there.
func TestSchemaKnowsTheLoadersKeys(t *testing.T) {
	s, files := parseSchema(t), exampleFiles(t)
	document := s.instance(s.root)
	keys := map[string]string{} // by path, as the schema has them
	s.walk(s.root, document, "", func(node map[string]any, path string, v any) {
		object, ok := v.(map[string]any)
		if !ok {
			return
		}
		keys[path] = "any"
		if node["additionalProperties"] == false {
			keys[path] = strings.Join(slices.Sorted(maps.Keys(node["properties"].(map[string]any))), " ")
		}
		got := loadersKeys(t, files, document, object, path)
		if of, ok := strings.CutPrefix(path, "tests[0].expect.grants"); ok {
			// The loader takes here what can only fail later. The words are a rule's.
			got = keys["rules[0].grants"+of]
		}
		if got != keys[path] {
			t.Errorf("%s: the loader knows %s, the schema %s", path, got, keys[path])
		}
	})
	if len(keys) < 30 {
		t.Errorf("only %d mappings were compared", len(keys))
	}
}

// loadersKeys returns the keys that the loader knows in an object of a
// document, sorted, or any: it says so to who writes an unknown one.
func loadersKeys(t *testing.T, files map[string]string, document any, object map[string]any, path string) string {
	const unknown = "zzzz" // so short that it is no secret, which the loader would not show
	object[unknown] = map[string]any{}
	defer delete(object, unknown)
	_, found := loadData(t, files, document, "")
	for _, d := range found {
		if d.ID == "unknown-key" && d.Path == joinPath(path, unknown) {
			known := strings.Split(strings.TrimPrefix(d.Hint, "known here: "), ", ")
			slices.Sort(known)
			return strings.Join(known, " ")
		}
	}
	return "any"
}

// TestSchemaSeesFaults holds every faulty configuration against the schema, and
// a good one with one value changed at a time. What loads is valid by the
// schema, and each fault is seen where it is, but for those beyond it.
func TestSchemaSeesFaults(t *testing.T) {
	t.Parallel()
	validator := compileSchema(t)
	unseen := map[string]bool{}
	seen := checkFaultyFiles(t, validator, unseen)
	seen += checkChanges(t, validator, unseen)
	if diff := cmp.Diff(beyondSchema, slices.Sorted(maps.Keys(unseen))); diff != "" {
		t.Errorf("faults that the schema does not see: %s", diff)
	}
	if seen < 1000 {
		t.Errorf("it saw %d faults", seen)
	}
}

// checkFaultyFiles counts the faults of testdata/err that the schema sees, and
// adds the others to unseen.
func checkFaultyFiles(t *testing.T, validator *jsonschema.Schema, unseen map[string]bool) (seen int) {
	t.Helper()
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = config.Parse("config.yaml", data, config.Options{Getenv: getenv, ReadFile: readFrom(nil)})
		var found config.Diagnostics
		errors.As(err, &found)
		var places []string
		if document, err := readYAML(t, file); err == nil {
			var invalid *jsonschema.ValidationError
			errors.As(validator.Validate(document), &invalid)
			places = faultPlaces(invalid)
		}
		for _, d := range found {
			inside := func(place string) bool {
				rest, ok := strings.CutPrefix(place, d.Path)
				return ok && (rest == "" || d.Path == "" || rest[0] == '.' || rest[0] == '[')
			}
			switch {
			case d.Warning:
			case slices.ContainsFunc(places, inside):
				seen++
			default:
				unseen[d.ID] = true
			}
		}
	}
	return seen
}

// checkChanges does so with a good configuration, changed in one place.
func checkChanges(t *testing.T, validator *jsonschema.Schema, unseen map[string]bool) (seen int) {
	t.Helper()
	s, files := parseSchema(t), exampleFiles(t)
	document := s.instance(s.root).(map[string]any)
	for _, path := range []string{ // contradict others
		"server.insecure_any_origin", "issuers[0].tenants", "issuers[0].jwks_file", "parameters.example.pattern", "parameters.example.default",
		"rules[0].deny", "rules[0].grants.video.any_room", "tests[0].expect.grants.video.any_room", "tests[0].expect.refused",
	} {
		removeData(document, path)
	}
	parameters := document["parameters"].(map[string]any) // that other examples speak of
	parameters["room"] = map[string]any{"pattern": "[a-z]+"}
	parameters["platform"] = map[string]any{"enum": []any{"ios", "web"}, "default": "web"}
	if _, found := loadData(t, files, document, ""); len(found) > 0 {
		t.Fatal(found)
	}
	if err := validator.Validate(document); err != nil {
		t.Fatal(err)
	}
	promised, notYet := map[string]bool{}, map[string]bool{}
	var refused []string // though it loads
	s.walk(s.root, document, "", func(node map[string]any, path string, v any) {
		if path == "" || strings.Contains(path, `["`) || strings.HasPrefix(path, "tests[0].claims.") ||
			strings.HasPrefix(path, "tests[0].expect.scope") || strings.HasPrefix(path, "tests[0].expect.grants") {
			return // names that anybody chooses, and what cannot be at fault for the loader
		}
		if isNotYet(fmt.Sprint(node["description"])) {
			promised[path] = true
		}
		words := loadersWords(t, files, document, path)
		for _, changed := range append(changes(node, v), words...) {
			restore := replaceData(document, path, changed)
			cfg, found := loadData(t, files, document, comesTo(v, files))
			invalid := validator.Validate(document)
			restore()
			if cfg != nil {
				for _, d := range cfg.NotYet {
					notYet[d.Path] = true
				}
			}
			switch {
			case invalid == nil:
				for _, d := range found {
					unseen[d.ID] = true
				}
			case len(found) > 0:
				seen++
			default:
				refused = append(refused, fmt.Sprintf("%s: %v", path, changed))
			}
		}
	})
	if diff := cmp.Diff(stricter, refused); diff != "" {
		t.Errorf("what loads and is not valid by the schema: %s", diff)
	}
	if diff := cmp.Diff(notYet, promised); diff != "" {
		t.Errorf("what has no machinery yet, by the loader and by the schema: %s", diff)
	}
	return seen
}

// loadersWords returns the words that the loader knows at a path: it says so to
// who writes an unknown one.
func loadersWords(t *testing.T, files map[string]string, document any, path string) (words []any) {
	t.Helper()
	restore := replaceData(document, path, "zzzzzzzz")
	defer restore()
	_, found := loadData(t, files, document, "")
	for _, d := range found {
		if d.Path == path && strings.HasPrefix(d.ID, "unknown-") {
			for _, word := range hintedWord.FindAllString(d.Hint, -1) {
				words = append(words, word)
			}
		}
	}
	return words
}

var hintedWord = regexp.MustCompile(`[A-Za-z0-9_]+(\([a-z]+\))?`)

// isNotYet reports whether a description says that there is no machinery yet.
func isNotYet(description string) bool {
	return strings.Contains(strings.ToLower(description), "not available yet")
}

// comesTo returns what a value that may come from outside comes to.
func comesTo(v any, files map[string]string) string {
	reference, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprint(v)
	}
	if name, ok := reference["env"].(string); ok {
		value, _ := getenv(name)
		return value
	}
	return files[fmt.Sprint(reference["file"])]
}

// TestFixturesAreValid holds every configuration of this module against the
// schema.
func TestFixturesAreValid(t *testing.T) {
	validator := compileSchema(t)
	var files []string
	for _, pattern := range []string{"../*.yaml", "../cmd/twilio-sts/*.yaml", "testdata/ok/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 3 {
		t.Fatalf("only %q", files)
	}
	for _, file := range files {
		document, err := readYAML(t, file)
		if err != nil {
			t.Fatal(file, err)
		}
		if err := validator.Validate(document); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// faultPlaces lists where a document is not valid, as paths of the loader.
func faultPlaces(err *jsonschema.ValidationError) []string {
	if err == nil {
		return nil
	}
	at := ""
	for _, step := range err.InstanceLocation {
		if _, err := strconv.Atoi(step); err == nil {
			at += "[" + step + "]"
		} else {
			at = joinPath(at, step)
		}
	}
	var places []string
	switch k := err.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, key := range k.Properties {
			places = append(places, joinPath(at, key))
		}
	case *kind.PropertyNames:
		places = append(places, joinPath("parameters", k.Property)) // the one place; the library tells another's
	case *kind.DependentRequired:
		places = append(places, joinPath(at, k.Prop))
	default:
		if len(err.Causes) == 0 {
			places = append(places, at)
		}
	}
	for _, cause := range err.Causes {
		if _, ok := err.ErrorKind.(*kind.PropertyNames); !ok {
			places = append(places, faultPlaces(cause)...)
		}
	}
	return places
}

// readYAML reads a file as an editor does, by YAML's core schema. What a schema
// cannot see, such as a key that is there twice, is passed over.
func readYAML(t *testing.T, file string) (any, error) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return yamlData(data)
}

func yamlData(text []byte) (any, error) {
	var document yaml.Node
	if err := yaml.Load(text, &document); err != nil {
		return nil, err
	}
	return dataOf(document.Content[0], 0), nil
}

func dataOf(n *yaml.Node, depth int) any {
	switch {
	case depth > 20: // an alias of itself
		return nil
	case n.Kind == yaml.AliasNode:
		return dataOf(n.Alias, depth+1)
	case n.Kind == yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, dataOf(item, depth+1))
		}
		return list
	case n.Kind == yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			if key := n.Content[i]; key.Tag != "!!merge" {
				object[key.Value] = dataOf(n.Content[i+1], depth+1)
			}
		}
		return object
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return f
		}
	}
	return n.Value
}

// removed stands for a key that is taken away.
type removed struct{}

func (removed) String() string { return "removed" }

// changes are values in place of v.
func changes(node map[string]any, v any) []any {
	out := []any{
		removed{}, nil, "", " ", "x", "x${claims.sub}", "1/s", "2s", 0, 1, -1, true, []any{}, []any{"x"}, map[string]any{}, map[string]any{"x": "y"},
		map[string]any{"env": "VALUE"}, map[string]any{"env": "VALUE", "file": "x"},
	}
	for _, choice := range append([]any{node}, listOf(node["anyOf"])...) {
		choice, _ := choice.(map[string]any)
		out = append(out, listOf(choice["enum"])...)
	}
	return out
}

func listOf(v any) []any {
	items, _ := v.([]any)
	return items
}

// A schemaTree is the schema as data.
type schemaTree struct {
	root map[string]any
	defs map[string]any
}

func parseSchema(t *testing.T) *schemaTree {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(config.Schema()), &root); err != nil {
		t.Fatal(err)
	}
	return &schemaTree{root, root["$defs"].(map[string]any)}
}

// resolve returns a schema with what it refers to, which its own words
// override.
func (s *schemaTree) resolve(v any) map[string]any {
	node, _ := v.(map[string]any)
	ref, ok := node["$ref"].(string)
	if !ok {
		return node
	}
	merged := maps.Clone(s.resolve(s.defs[strings.TrimPrefix(ref, "#/$defs/")]))
	maps.Copy(merged, node)
	return merged
}

// instance makes a value out of a schema's examples: every key, and one item
// in each list.
func (s *schemaTree) instance(schema any) any {
	node := s.resolve(schema)
	if node["properties"] != nil {
		object := map[string]any{}
		for key, member := range node["properties"].(map[string]any) {
			object[key] = s.instance(member)
		}
		return object
	}
	if member := s.resolve(node["additionalProperties"]); member["properties"] != nil {
		return map[string]any{"example": s.instance(member)}
	}
	if item := s.resolve(node["items"]); item["properties"] != nil {
		return []any{s.instance(item)}
	}
	for _, key := range []string{"examples", "enum"} {
		if list, ok := node[key].([]any); ok {
			return cloneData(list[0])
		}
	}
	for _, key := range []string{"default", "const"} {
		if v, ok := node[key]; ok {
			return cloneData(v)
		}
	}
	if choices, ok := node["anyOf"].([]any); ok {
		return s.instance(choices[0])
	}
	panic(fmt.Sprintf("no example in %v", node))
}

// walk visits each value of a document with the schema that describes it.
func (s *schemaTree) walk(schema any, v any, path string, visit func(node map[string]any, path string, v any)) {
	node := s.resolve(schema)
	_, isObject := v.(map[string]any)
	_, isList := v.([]any)
	if choices, ok := node["anyOf"].([]any); ok && node["properties"] == nil {
		for _, choice := range choices {
			choice := s.resolve(choice)
			if isObject && choice["type"] == "object" || isList && choice["type"] == "array" {
				choice = maps.Clone(choice)
				choice["description"] = node["description"]
				node = choice
			}
		}
	}
	visit(node, path, v)
	switch v := v.(type) {
	case map[string]any:
		properties, _ := node["properties"].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			member := properties[key]
			if member == nil {
				member = node["additionalProperties"]
			}
			if s.resolve(member) != nil {
				s.walk(member, v[key], joinPath(path, key), visit)
			}
		}
	case []any:
		for i := range v {
			s.walk(node["items"], v[i], fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

var wordShape = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// joinPath appends a key to a path as the loader writes it.
func joinPath(path, key string) string {
	switch {
	case !wordShape.MatchString(key):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

// cloneData copies plain data.
func cloneData(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			out[key] = cloneData(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cloneData(v[i])
		}
		return out
	}
	return v
}

// holderOf returns what holds the value at a path, and the last step to it.
func holderOf(document any, path string) (parent any, step string) {
	steps := strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) })
	for _, step := range steps[:len(steps)-1] {
		document = memberOf(document, step)
	}
	return document, steps[len(steps)-1]
}

func memberOf(v any, step string) any {
	if list, ok := v.([]any); ok {
		i, _ := strconv.Atoi(step)
		return list[i]
	}
	return v.(map[string]any)[step]
}

// replaceData puts a value in place of the one at a path, until restore is called.
func replaceData(document any, path string, v any) (restore func()) {
	parent, step := holderOf(document, path)
	if list, ok := parent.([]any); ok {
		i, _ := strconv.Atoi(step)
		before := list[i]
		if v == (removed{}) {
			v = before
		}
		list[i] = v
		return func() { list[i] = before }
	}
	object := parent.(map[string]any)
	before := object[step]
	if object[step] = v; v == any(removed{}) {
		delete(object, step)
	}
	return func() { object[step] = before }
}

func removeData(document any, path string) { replaceData(document, path, removed{}) }

// exampleFiles are the files that the schema's examples name.
func exampleFiles(t *testing.T) map[string]string {
	t.Helper()
	cert, key := certificate(t)
	return map[string]string{"identity.key": strings.Repeat("k", 32), "admin.token": "t", "audit.key": "k", "tls.crt": cert, "tls.key": key, "ca.pem": cert}
}

// loadData loads a document, written as JSON, which is YAML too. The variable
// VALUE has the given value.
func loadData(t *testing.T, files map[string]string, document any, value string) (*config.Config, config.Diagnostics) {
	t.Helper()
	data, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("config.yaml", data, config.Options{
		Getenv: func(name string) (string, bool) {
			if name == "VALUE" {
				return value, true
			}
			return getenv(name)
		},
		ReadFile:  readFrom(files),
		SkipTests: true, // a test that fails is in order for a schema
	})
	var found config.Diagnostics
	if err != nil && !errors.As(err, &found) {
		t.Fatal(err)
	}
	return cfg, slices.DeleteFunc(found, func(d config.Diagnostic) bool { return d.Warning })
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := jsonschema.UnmarshalJSON(strings.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.schema.json", data); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}
