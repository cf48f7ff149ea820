package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestDiagnostics holds every message an operator can meet against the file
// that says how it reads.
func TestDiagnostics(t *testing.T) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Parse("config.yaml", data, config.Options{Getenv: getenv, ReadFile: readFrom(nil)})
			var found config.Diagnostics
			if !errors.As(err, &found) {
				t.Fatalf("got %v, want diagnostics", err)
			}
			checkPlaces(t, found, string(data))
			golden := strings.TrimSuffix(file, ".yaml") + ".out"
			if *update {
				if err := os.WriteFile(golden, []byte(found.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), found.Error()+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// checkPlaces checks that each diagnostic points into the file, where the end
// of a line counts as a place in it.
func checkPlaces(t *testing.T, found config.Diagnostics, text string) {
	t.Helper()
	text = strings.TrimPrefix(text, "\ufeff")
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	for _, d := range found {
		if d.Line < 1 || d.Line > len(lines) || d.Column < 1 || d.Length < 1 || d.ID == "" || d.Message == "" {
			t.Errorf("no place in the file: %#v", d)
			continue
		}
		if n := len([]rune(lines[d.Line-1])); d.Column > n+1 || d.Length > max(1, n-d.Column+1) {
			t.Errorf("column %d of a line of %d: %#v", d.Column, n, d)
		}
	}
}

// FuzzParse looks for a text that crashes the loader or makes it point outside.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.*")
	for _, file := range append(files, "../config.example.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, text := range []string{plainest, everything, secretsMissing} {
		f.Add(text)
	}
	for _, s := range strictCases() {
		f.Add(s.text())
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := config.Parse("config.yaml", []byte(text), config.Options{Getenv: getenv, ReadFile: readFrom(nil)})
		var found config.Diagnostics
		if err != nil && !errors.As(err, &found) {
			t.Fatal(err)
		}
		checkPlaces(t, found, text)
		_ = found.Error()
	})
}
