package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

// TestMutantsAreNoticed changes one token of an example's rules at a time: an
// operator, a literal, a claim's name, a negation. Loading finds most of them,
// because a lint or a test of the file fails; of the others, the decisions for
// the cases in testdata/mutants differ, which is what diff shows.
func TestMutantsAreNoticed(t *testing.T) {
	files := []string{"../config.example.yaml", "../cmd/twilio-sts/dev.yaml", "../cmd/twilio-sts/starter.yaml"}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, clinic, ok := strings.Cut(string(readme), "A clinic, as a whole `config.yaml`:\n\n```yaml\n")
	if !ok {
		t.Fatal("the README has no clinic")
	}
	clinic, _, _ = strings.Cut(clinic, "```")
	texts := map[string]string{"clinic.yaml": clinic}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(data)
	}

	noticed, survivors := 0, []string{}
	for _, name := range []string{"config.example.yaml", "dev.yaml", "starter.yaml", "clinic.yaml"} {
		text := texts[name]
		original, cases := loadMutant(t, name, text)
		if original == nil {
			t.Fatalf("%s does not load", name)
		}
		for _, m := range mutants(t, text) {
			changed, _ := loadMutant(t, name, m.text)
			if changed == nil || len(changed.Warnings) != len(original.Warnings) || differ(original, changed, cases) {
				noticed++
				continue
			}
			survivors = append(survivors, name+": "+m.what)
		}
	}
	total := noticed + len(survivors)
	share := 100 * float64(noticed) / float64(total)
	t.Logf("%d of %d mutants are noticed, %.1f %%; not noticed:\n%s", noticed, total, share, strings.Join(survivors, "\n"))
	if share < 95 || total < 80 {
		t.Errorf("%.1f %% of %d mutants are noticed:\n%s", share, total, strings.Join(survivors, "\n"))
	}
}

// loadMutant loads a configuration, with its cases and those that go with it;
// nil where check finds a fault, or a test of the file fails.
func loadMutant(t *testing.T, name, text string) (*config.Config, []rules.Case) {
	t.Helper()
	cfg, err := config.Parse(name, []byte(text), config.Options{NoSecrets: true})
	if err != nil {
		return nil, nil
	}
	more, err := config.LoadCases(filepath.Join("testdata", "mutants", name), cfg, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg, slices.Concat(cfg.Cases, more)
}

// differ reports whether a case comes out differently.
func differ(a, b *config.Config, cases []rules.Case) bool {
	return slices.ContainsFunc(cases, func(c rules.Case) bool {
		x, y := a.Rules.RunCase(&c), b.Rules.RunCase(&c)
		return !reflect.DeepEqual(x.Decision, y.Decision) || rules.ReasonOf(x.Err) != rules.ReasonOf(y.Err)
	})
}

type mutant struct{ what, text string }

// celToken finds what there is to change in an expression: strings, numbers,
// operators, and names with the dot or negation before them.
var celToken = regexp.MustCompile(`'[^']*'|\d+|&&|\|\||==|!=|<=|>=|<|>|\+|!|\?|\.?[a-zA-Z_]\w*`)

// mutants returns the text with one token of its rules changed, in each way.
func mutants(t *testing.T, text string) []mutant {
	t.Helper()
	var all []mutant
	for _, at := range expressions(t, text) {
		expression := text[at[0]:at[1]]
		if conjunct := strings.TrimPrefix(strings.TrimSpace(expression), "&& "); !strings.Contains(conjunct, "&&") {
			all = append(all, mutant{"not " + conjunct, text[:at[0]] + strings.Replace(expression, conjunct, "!("+conjunct+")", 1) + text[at[1]:]})
		}
		for _, span := range celToken.FindAllStringIndex(expression, -1) {
			old := expression[span[0]:span[1]]
			for _, changed := range changedTo(old) {
				if changed == old {
					continue
				}
				from, to := at[0]+span[0], at[0]+span[1]
				line := 1 + strings.Count(text[:from], "\n")
				all = append(all, mutant{fmt.Sprintf("line %d: %s: %s becomes %s", line, strings.TrimSpace(expression), old, changed), text[:from] + changed + text[to:]})
			}
		}
	}
	return all
}

// changedTo returns what a token is changed to.
func changedTo(token string) []string {
	switch swapped := map[string]string{
		"&&": "||", "||": "&&", "==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "true": "false", "false": "true",
		"+": "", "!": "", "?": "", ".startsWith": ".endsWith", ".endsWith": ".startsWith", ".contains": ".startsWith",
	}[token]; {
	case swapped != "":
		return []string{swapped}
	case token[0] == '\'':
		return []string{"'" + token[1:len(token)-1] + "x'", "''"}
	case '0' <= token[0] && token[0] <= '9':
		return []string{token + "0"}
	case strings.HasPrefix(token, ".") && !slices.Contains([]string{".orValue", ".matches"}, token):
		return []string{token + "x"} // another claim
	case token == "in" || token == "claims" || token == "request":
		return []string{map[string]string{"in": "==", "claims": "request", "request": "claims"}[token]}
	}
	return nil
}

// expressions returns where the conditions and values with expressions of
// rules, and of issuers, stand in a text: the expressions alone, line by line.
func expressions(t *testing.T, text string) [][2]int {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Load([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(text, "\n")
	offset := func(line int) int { return len(strings.Join(lines[:line-1], "")) }
	var found [][2]int
	var visit func(n *yaml.Node, condition bool)
	visit = func(n *yaml.Node, condition bool) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				key := n.Content[i].Value
				visit(n.Content[i+1], key == "when" || key == "require")
			}
		case yaml.ScalarNode:
			from := offset(n.Line)
			for _, line := range strings.Split(strings.TrimSpace(n.Value), "\n") {
				at := strings.Index(text[from:], line)
				if at < 0 {
					t.Fatalf("line %d: %q is not written as it is read", n.Line, line)
				}
				from += at
				if condition {
					found = append(found, [2]int{from, from + len(line)})
				} else {
					for _, span := range regexp.MustCompile(`\$\{[^}]*\}`).FindAllStringIndex(line, -1) {
						found = append(found, [2]int{from + span[0] + 2, from + span[1] - 1})
					}
				}
				from += len(line)
			}
		default:
			for _, item := range n.Content {
				visit(item, condition)
			}
		}
	}
	root := doc.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if key := root.Content[i].Value; key == "rules" || key == "issuers" {
			visit(root.Content[i+1], false)
		}
	}
	return found
}
