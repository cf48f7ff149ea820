package rules_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"twilio-sts/config/rules"
)

// TestTemplates is about where an expression ends.
func TestTemplates(t *testing.T) {
	for value, want := range map[string]string{
		`a`:                                  "a",
		`$$`:                                 "$",
		`$$$$`:                               "$$",
		`$$$${claims.x}`:                     "$${claims.x}",
		`$$${claims.x}`:                      "$X",
		`${claims.x}`:                        "X",
		`${claims.x}${claims.x}`:             "XX",
		`${claims.x}-${claims.x}}`:           "X-X}",
		`}{${claims.x}{`:                     "}{X{",
		`${ claims.x }`:                      "X",
		"${claims.x +\n'b'}":                 "Xb",
		`${{'a': {'b': '1'}}.a.b}`:           "1",
		`${{'}': '1'}['}']}`:                 "1",
		`${'}'}`:                             "}",
		`${"}"}`:                             "}",
		`${'"}'}`:                            `"}`,
		`${"'}"}`:                            `'}`,
		`${'\'}'}`:                           "'}",
		`${'\\'}}`:                           `\}`,
		`${r'\'}}`:                           `\}`,
		`${R"\"}}`:                           `\}`,
		`${'''}'''}`:                         "}",
		`${'''it's }'''}`:                    "it's }",
		`${"""}"}"""}`:                       `}"}`,
		`${'''\'''}'''}`:                     "'''}",
		`${r'''\'''}`:                        `\`,
		`${''}a`:                             "a",
		`${'$'}`:                             "$",
		`${'${x}'}`:                          "${x}",
		`${'{'}`:                             "{",
		`é${claims.x}ü`:                      "éXü",
		`${string(b'}')}`:                    "}",
		`${string(br'\')}`:                   `\`,
		`${"a".matches(r"^a$") ? "}" : "{"}`: "}",
		`${claims.bar + 'x\'}'}`:             "barx'}", // bar ends in r and is no prefix
		`${12345678}`:                        "12345678",
		`n${-9223372036854775807 - 1}`:       "n-9223372036854775808",
	} {
		t.Run(value, func(t *testing.T) {
			set := compile(t, newSpec(grants("true", video(value))))
			d, err := set.Decide(input(rules.Claims{"x": "X", "bar": "bar"}), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Grants.Video.Room; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// FuzzTemplate holds that any text compiles or is faulted inside itself, and
// that text which is escaped as documented comes out as it was.
func FuzzTemplate(f *testing.F) {
	foreign := regexp.MustCompile(`\{\{[^{}]*\}\}|\{\s*(claims|request)[.\[]`) // other languages' braces, which are a fault
	for _, s := range []string{"{{}}", "{ claims.x }", "a", "$", "$$", "${", "${}", "${'}", "${claims.x}", "a${r'\\'}b", "${'''", "${{}}", "é${'é'}#", "${claims.x", "${1/0}", "${\xff}", "${'\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec := newSpec(grants("true", video(s)))
		set, faults := rules.CompileUnproven(spec)
		if (set == nil) == (len(faults) == 0) {
			t.Fatalf("set %v with %v", set, faults)
		}
		for _, fault := range faults {
			if fault.Offset < 0 || fault.Length < 0 || fault.Offset+fault.Length > len(s) {
				t.Errorf("%q: %+v", s, fault)
			}
		}
		if set != nil {
			if d, err := set.Decide(input(nil), nil); err == nil && d.Grants.Video.Room == "" {
				t.Errorf("%q grants every room", s)
			}
		}
		if n := utf8.RuneCountInString(s); !utf8.ValidString(s) || n < 1 || n > 128 || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || 0x7f <= r && r <= 0x9f }) {
			return
		}
		if foreign.MatchString(s) {
			return
		}
		d, err := compile(t, newSpec(grants("true", video(strings.ReplaceAll(s, "$", "$$"))))).Decide(input(nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d.Grants.Video.Room != s {
			t.Errorf("%q came out as %q", s, d.Grants.Video.Room)
		}
	})
}

// FuzzCondition holds that any text compiles or is faulted inside itself.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{"true", "claims.x ==", "claims.email.endswith('é')", "request.rom", "a.b(", "\"", "'é' = 1", "!claims.sub", "claims", ".A", "x{}", "[1].map(", "\n\n  claims.level == 'x'", "pseudonym()", "[", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, faults := rules.CompileUnproven(newSpec(grants(s, video("a"))))
		if (set == nil) == (len(faults) == 0) {
			t.Fatalf("set %v with %v", set, faults)
		}
		for _, fault := range faults {
			if fault.Offset < 0 || fault.Length < 0 || fault.Offset+fault.Length > len(s) {
				t.Errorf("%q: %+v", s, fault)
			}
		}
		if set != nil {
			_, _ = set.Decide(input(nil), nil)
		}
	})
}
