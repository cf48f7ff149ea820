package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the module's, as seen from this package's tests.
const root = "../.."

// homes names, for each library and each package of ours, the packages that
// may import it, tests aside. "exchange/..." means exchange and all below it.
// What is not listed may be imported by nobody but tests.
var homes = map[string][]string{
	"cel.dev/cel-go":                           {"config/rules"},
	"go.yaml.in/yaml/v4":                       {"config"},
	"github.com/coreos/go-oidc/v3":             {"exchange/internal/idtoken"},
	"github.com/labstack/echo/v4":              {"exchange"},
	"github.com/redis/go-redis/v9":             {"exchange/internal/store"},
	"github.com/twilio/twilio-go/client/jwt":   {"exchange/internal/accesstoken"},
	"golang.org/x/oauth2":                      {"cmd/twilio-sts"},
	"github.com/spf13/cobra":                   {"cmd/twilio-sts"},
	"twilio-sts/config/rules":                  {"config", "exchange/...", "cmd/twilio-sts"},
	"twilio-sts/config":                        {"exchange/...", "cmd/twilio-sts"},
	"twilio-sts/exchange":                      {"cmd/twilio-sts"},
	"twilio-sts/exchange/devidp":               {"cmd/twilio-sts"},
	"twilio-sts/exchange/internal/accesstoken": {"exchange"},
	"twilio-sts/exchange/internal/idtoken":     {"exchange", "exchange/internal/accesstoken"},
	"twilio-sts/exchange/internal/jwks":        {"exchange/internal/idtoken"},
	"twilio-sts/exchange/internal/store":       {"exchange"},
}

// impure lists what a package must not import because of what it is.
var impure = map[string][]string{
	"config/rules": {"os", "io/fs", "net", "net/http", "log", "log/slog", "syscall", "os/exec"},
	"config":       {"net/http", "log", "os/exec"}, // log/slog only to keep secrets out of it
}

func TestImportsRunOneWay(t *testing.T) {
	for pkg, imports := range moduleImports(t) {
		for _, imported := range imports {
			if slices.Contains(impure[pkg], imported) {
				t.Errorf("%s imports %s", pkg, imported)
			}
			if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") && first != "twilio-sts" {
				continue // the standard library
			}
			if !allowed(imported, pkg) {
				t.Errorf("%s imports %s, whose home is %v", pkg, imported, homes[home(imported)])
			}
		}
	}
}

// TestEveryHomeIsLivedIn fails when a row of the table has gone stale.
func TestEveryHomeIsLivedIn(t *testing.T) {
	used := map[string]bool{}
	for _, imports := range moduleImports(t) {
		for _, imported := range imports {
			used[home(imported)] = true
		}
	}
	for library := range homes {
		if !used[library] {
			t.Errorf("nothing imports %s", library)
		}
	}
}

// home returns the longest row of the table that imported is, or is below.
func home(imported string) string {
	for p := imported; p != "."; p = path.Dir(p) {
		if _, ok := homes[p]; ok {
			return p
		}
	}
	return ""
}

func allowed(imported, pkg string) bool {
	h := home(imported)
	if strings.HasPrefix(imported, "twilio-sts/") && h != imported {
		return false // a package of ours is not covered by its parent's row
	}
	return slices.ContainsFunc(homes[h], func(place string) bool {
		tree, below := strings.CutSuffix(place, "/...")
		return pkg == tree || below && strings.HasPrefix(pkg, tree+"/")
	})
}

// moduleImports returns what each package imports, tests aside.
func moduleImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		pkg, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil || strings.HasPrefix(filepath.ToSlash(pkg), "exchange/exchangetest") {
			return err // fakes for tests are tests
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			pkg := filepath.ToSlash(pkg)
			imports[pkg] = append(imports[pkg], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}
