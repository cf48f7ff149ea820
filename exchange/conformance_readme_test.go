package exchange_test

import (
	"os"
	"strings"
	"testing"
)

// TestConformanceInREADME has the README list what is tested, no more and no
// less, with what comes of it.
func TestConformanceInREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n## Conformance\n")
	if !ok {
		t.Fatal("the README has no section Conformance")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var got, want []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `oidcc-") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	for _, test := range conformanceTests() {
		want = append(want, "| `"+test.name+"` | "+test.outcome()+" |")
	}
	if got, want := strings.Join(got, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("the README has\n%s\nwant\n%s", got, want)
	}
}

// outcome tells in a word or two what comes of a test.
func (test *conformanceTest) outcome() string {
	word := func(result string) string {
		reason, _, refused := strings.Cut(result, ": ")
		if !refused {
			return "accepted"
		}
		return "`" + reason + "`"
	}
	if test.then == nil {
		return word(test.want)
	}
	return word(test.want) + ", then " + word(test.thenWant)
}
