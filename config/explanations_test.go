package config_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

// TestEveryDiagnosticIsExplained collects the ids from the source, and compares
// both ways.
func TestEveryDiagnosticIsExplained(t *testing.T) {
	emitted := map[string]bool{}
	files := token.NewFileSet()
	paths, err := filepath.Glob("*.go")
	inRules, err2 := filepath.Glob("rules/*.go")
	if err != nil || err2 != nil || len(inRules) == 0 {
		t.Fatal(err, err2)
	}
	for _, path := range append(paths, inRules...) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := idIn(n); ok {
				emitted[id] = true
			}
			return true
		})
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(emitted)), config.DiagnosticIDs()); diff != "" {
		t.Errorf("emitted and explained:\n%s", diff)
	}
}

// idIn returns the id that a piece of source gives a diagnostic: ID: "x" in a
// literal, f.ID = "x", or the first argument of fault, faultf, warn and unreadable.
func idIn(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "ID" {
			return text(n.Value)
		}
	case *ast.AssignStmt:
		if to, ok := n.Lhs[0].(*ast.SelectorExpr); ok && to.Sel.Name == "ID" {
			return text(n.Rhs[0])
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if ok && len(n.Args) > 1 && slices.Contains([]string{"fault", "faultf", "warn", "unreadable"}, f.Sel.Name) {
			return text(n.Args[0])
		}
	}
	return "", false
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func TestExplain(t *testing.T) {
	for _, id := range config.DiagnosticIDs() {
		text, ok := config.Explain(id)
		if !ok || len(text) < 60 || !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n\t") {
			t.Errorf("%s: %q", id, text)
		}
	}
	if text, ok := config.Explain("no-such-id"); ok || text != "" {
		t.Errorf("%q, %v", text, ok)
	}
}
