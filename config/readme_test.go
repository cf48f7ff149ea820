package config_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestReadmeNamesEveryKey holds the tables of keys, each below a heading that
// says where the keys stand, against the schema.
func TestReadmeNamesEveryKey(t *testing.T) {
	s := parseSchema(t)
	want := map[string]string{}
	s.walk(s.root, s.instance(s.root), "", func(node map[string]any, path string, v any) {
		properties, _ := node["properties"].(map[string]any)
		if properties == nil || properties["env"] != nil || strings.HasPrefix(path, "tests[0].expect.") {
			return
		}
		path = strings.NewReplacer("[0]", "[]", "parameters.example", "parameters.NAME").Replace(path)
		var keys []string
		for key, member := range properties {
			if isNotYet(fmt.Sprint(s.resolve(member)["description"])) {
				key += " (not yet)"
			}
			keys = append(keys, key)
		}
		slices.Sort(keys)
		want[path] = strings.Join(keys, " ")
	})
	got := map[string]string{}
	heading := regexp.MustCompile("(?m)^### (?:The file|`([^`\n]+)`)$")
	text := readme(t)
	places := heading.FindAllStringSubmatchIndex(text, -1)
	for _, at := range places {
		path := ""
		if at[2] >= 0 {
			path = text[at[2]:at[3]]
		}
		section := text[at[1]:]
		if end := strings.Index(section, "\n#"); end >= 0 {
			section = section[:end]
		}
		got[path] = strings.Join(firstCells(section), " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// firstCells returns what stands in code in the first column of a text's
// tables, sorted, with a note where the row says that it is not available yet.
func firstCells(text string) []string {
	var cells []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)$").FindAllStringSubmatch(text, -1) {
		if isNotYet(row[2]) {
			row[1] += " (not yet)"
		}
		cells = append(cells, row[1])
	}
	slices.Sort(cells)
	return cells
}

// section returns what stands below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(readme(t), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("there is no %q", heading)
	}
	if end := strings.Index(text, "\n"+strings.Repeat("#", strings.Count(heading, "#"))+" "); end >= 0 {
		text = text[:end]
	}
	return text
}

// TestReadmeNamesEveryReason holds the reasons that a test can expect against
// the schema, and those against package rules.
func TestReadmeNamesEveryReason(t *testing.T) {
	s := parseSchema(t)
	expect := s.resolve(s.defs["case"])["properties"].(map[string]any)["expect"].(map[string]any)
	var want []string
	for _, reason := range expect["properties"].(map[string]any)["refused"].(map[string]any)["enum"].([]any) {
		want = append(want, reason.(string))
	}
	if diff := cmp.Diff(want, firstCells(section(t, "## Reasons"))); diff != "" {
		t.Error(diff)
	}
	known := reasons(t)
	for _, reason := range want {
		if !slices.Contains(known, reason) {
			t.Errorf("%s is no reason", reason)
		}
	}
}

// reasons returns the texts of the constants in reason.go.
func reasons(t *testing.T) (all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "rules/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			if lit, ok := v.(*ast.BasicLit); ok {
				reason, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, reason)
			}
		}
		return false
	})
	return all
}

var topLevelKey = regexp.MustCompile(`(?m)^([a-z_]+):`)

// TestReadmeExamples loads each YAML block, with the sections of the first for
// those it leaves out, and so runs its tests. The blocks below "CEL by example"
// have some that grant and some that refuse or withhold.
func TestReadmeExamples(t *testing.T) {
	text := readme(t)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatchIndex(text, -1)
	if len(blocks) == 0 {
		t.Fatal("there are none")
	}
	base := sections(text[blocks[0][2]:blocks[0][3]])
	byExample := strings.Index(text, "\n## CEL by example\n")
	validator := compileSchema(t)
	examples := 0
	for _, at := range blocks {
		block := text[at[2]:at[3]]
		title := text[:at[0]]
		title = title[strings.LastIndex(title, "\n##")+1:]
		title, _, _ = strings.Cut(strings.TrimLeft(title, "# "), "\n")
		t.Run(title, func(t *testing.T) {
			document := maps.Clone(base)
			maps.Copy(document, sections(block))
			whole := strings.Join(slices.Sorted(maps.Values(document)), "")
			cfg, err := config.Parse("config.yaml", []byte(whole), config.Options{Getenv: getenv, ReadFile: readFrom(exampleFiles(t))})
			if err != nil {
				t.Fatalf("%v\n%s", err, whole)
			}
			for _, warning := range cfg.Warnings {
				notItsOwn := warning.ID == "unused-claim" && !strings.Contains(block, "issuers:")
				if !notItsOwn && !strings.Contains(block, "# warned of: "+warning.ID) {
					t.Errorf("%s\n%s", warning, whole)
				}
			}
			data, err := yamlData([]byte(whole))
			if err != nil {
				t.Fatal(err)
			}
			if err := validator.Validate(data); err != nil {
				t.Error(err)
			}
			if at[0] < byExample {
				return
			}
			examples++
			if !strings.Contains(block, "tests:") || len(cfg.Cases) < 2 {
				t.Error("an example has at least two tests")
			}
		})
	}
	if examples < 20 {
		t.Errorf("only %d examples", examples)
	}
}

// sections splits a document into its top-level keys, each with its text.
func sections(text string) map[string]string {
	found := map[string]string{}
	places := topLevelKey.FindAllStringSubmatchIndex(text, -1)
	for i, at := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		found[text[at[2]:at[3]]] = text[at[0]:end]
	}
	return found
}

// TestReadmeExpressions evaluates the expressions in the table of functions,
// each of which is true.
func TestReadmeExpressions(t *testing.T) {
	expressions := firstCells(section(t, "## Functions"))
	if len(expressions) < 20 {
		t.Fatalf("only %q", expressions)
	}
	base := sections(regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(readme(t))[1])
	base["identity_key"] = "identity_key: {file: identity.key}\n"
	base["parameters"] = "parameters: {room: {pattern: a}}\n"
	base["rules"] = "rules:\n  - {name: all, when: \"true\", grants: {sync: {service_sid: default}}}\n"
	require := "    require:\n"
	for _, expression := range expressions {
		require += fmt.Sprintf("      - %q\n", strings.ReplaceAll(expression, `\|`, `|`))
	}
	base["issuers"] += require
	base["tests"] = `tests:
  - name: all hold
    claims: {sub: "auth0|1", email: Ada@example.com, groups: [sales, support], plan: gold, level: 3, org: {tier: 2}, auth_time: 1767225000}
    expect: {scope: sync}
`
	whole := strings.Join(slices.Sorted(maps.Values(base)), "")
	if _, err := config.Parse("config.yaml", []byte(whole), config.Options{Getenv: getenv, ReadFile: readFrom(exampleFiles(t))}); err != nil {
		t.Error(err)
	}
}
