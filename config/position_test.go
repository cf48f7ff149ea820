package config_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

// head is a configuration up to its rules, which follow at line 8.
const head = `version: 1
accounts:
  - {name: main, account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {env: TWILIO_API_KEY_SECRET}}
issuers:
  - {name: idp, issuer: "https://idp.example/", audiences: [app], identity: "idp_${escape(claims.sub)}"}
tests: []
rules:
`

// diagnose returns what an operator reads, or "" when text loads.
func diagnose(t *testing.T, text string, files map[string]string) string {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{Getenv: getenv, ReadFile: readFrom(files)})
	if err == nil {
		return strings.TrimSuffix(cfg.Warnings.Error(), "\n")
	}
	var found config.Diagnostics
	if !errors.As(err, &found) {
		t.Fatal(err)
	}
	checkPlaces(t, found, text)
	return found.Error()
}

// TestPlaces holds the place of a fault in an expression against every way in
// which YAML writes text.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"plain", "  - name: a\n    when: clams.sub == 'a'\n    ttl: 1h\n", `config.yaml:9:11: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: clams.sub == 'a'
      |           ^^^^^
   hint: did you mean claims?`},
		{"plain on several lines", "  - name: a\n    when: claims.sub == 'a' ||\n      claims.sub == 'b'\n\n      || clams.sub == 'c'\n    ttl: 1h\n", `config.yaml:12:10: rules[0].when: unknown name "clams" [unknown-name]
   12 |       || clams.sub == 'c'
      |          ^^^^^
   hint: did you mean claims?`},
		{"plain behind a tab", "  - name: a\n    when: \tclams.sub == 'a'\n    ttl: 1h\n", `config.yaml:9:12: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: 	clams.sub == 'a'
      |           	^^^^^
   hint: did you mean claims?`},
		{"plain behind an anchor", "  - name: a\n    when: &a clams.sub == 'a'\n    ttl: 1h\n", `config.yaml:9:14: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: &a clams.sub == 'a'
      |              ^^^^^
   hint: did you mean claims?`},
		{"behind an anchor, a comment and a line end", "  - name: a\n    when: &a # 'why'\n      \"clams.sub == 'a'\"\n    ttl: 1h\n", `config.yaml:10:8: rules[0].when: unknown name "clams" [unknown-name]
   10 |       "clams.sub == 'a'"
      |        ^^^^^
   hint: did you mean claims?`},
		{"single quoted", "  - name: a\n    when: 'claims.sub == ''it\\''s'' || clams.sub == ''a'''\n    ttl: 1h\n", `config.yaml:9:40: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: 'claims.sub == ''it\''s'' || clams.sub == ''a'''
      |                                        ^^^^^
   hint: did you mean claims?`},
		{"single quoted on several lines", "  - name: a\n    when: 'claims.sub == ''a''\n\n      || clams.sub == ''b'''\n    ttl: 1h\n", `config.yaml:11:10: rules[0].when: unknown name "clams" [unknown-name]
   11 |       || clams.sub == ''b'''
      |          ^^^^^
   hint: did you mean claims?`},
		{"double quoted with escapes of every kind", "  - name: a\n    when: \"claims.sub == 'a\\tb\\x41\\u00e9\\U0001F600\\\\\\\\\\\"\\/\\_\\e' || clams.sub\\x20== 'a'\"\n    ttl: 1h\n", `config.yaml:9:68: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: "claims.sub == 'a\tb\x41\u00e9\U0001F600\\\\\"\/\_\e' || clams.sub\x20== 'a'"
      |                                                                    ^^^^^
   hint: did you mean claims?`},
		{"double quoted, the fault itself escaped", "  - name: a\n    when: \"c\\x6c\\u0061ms.sub == 'a'\"\n    ttl: 1h\n", `config.yaml:9:12: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: "c\x6c\u0061ms.sub == 'a'"
      |            ^^^^^^^^^^^^^
   hint: did you mean claims?`},
		{"double quoted and folded", "  - name: a\n    when: \"claims.sub == 'a'\n\n\n      ||\\\n      \\  clams.sub == 'b'\"\n    ttl: 1h\n", `config.yaml:13:10: rules[0].when: unknown name "clams" [unknown-name]
   13 |       \  clams.sub == 'b'"
      |          ^^^^^
   hint: did you mean claims?`},
		{"literal", "  - name: a\n    when: |\n      claims.sub == 'a' ||\n        clams.sub == 'b'\n    ttl: 1h\n", `config.yaml:11:9: rules[0].when: unknown name "clams" [unknown-name]
   11 |         clams.sub == 'b'
      |         ^^^^^
   hint: did you mean claims?`},
		{"literal, stripped", "  - name: a\n    when: |-\n\n      claims.sub == 'a'\n      || clams.sub == 'b'\n    ttl: 1h\n", `config.yaml:12:10: rules[0].when: unknown name "clams" [unknown-name]
   12 |       || clams.sub == 'b'
      |          ^^^^^
   hint: did you mean claims?`},
		{"literal, kept, indented by 2, commented", "  - name: a\n    when: |+2 # why\n        claims.sub == 'a'\n      || clams.sub == 'b'\n\n    ttl: 1h\n", `config.yaml:11:10: rules[0].when: unknown name "clams" [unknown-name]
   11 |       || clams.sub == 'b'
      |          ^^^^^
   hint: did you mean claims?`},
		{"folded", "  - name: a\n    when: >\n      claims.sub == 'a'\n      || claims.sub == 'b'\n\n        || clams.sub == 'c'\n    ttl: 1h\n", `config.yaml:13:12: rules[0].when: unknown name "clams" [unknown-name]
   13 |         || clams.sub == 'c'
      |            ^^^^^
   hint: did you mean claims?`},
		{"folded, kept, indented by 3", "  - name: a\n    when: >3+\n         claims.sub == 'a'\n       || clams.sub == 'b'\n\n\n    ttl: 1h\n", `config.yaml:11:11: rules[0].when: unknown name "clams" [unknown-name]
   11 |        || clams.sub == 'b'
      |           ^^^^^
   hint: did you mean claims?`},
		{"in flow style", "  - {name: é, when: claims.sub == 'é😀' || clams.sub == 'b', ttl: 1h}\n", `config.yaml:8:43: rules[0].when: unknown name "clams" [unknown-name]
    8 |   - {name: é, when: claims.sub == 'é😀' || clams.sub == 'b', ttl: 1h}
      |                                           ^^^^^
   hint: did you mean claims?`},
		{"in flow style, single quoted, on several lines", "  - {name: é, when: '\n     claims.sub == ''é'' ||\n\tclams.sub == ''b''', ttl: 1h}\n", `config.yaml:10:2: rules[0].when: unknown name "clams" [unknown-name]
   10 | 	clams.sub == ''b''', ttl: 1h}
      | 	^^^^^
   hint: did you mean claims?`},
		{"after characters of several bytes", "  - name: a\n    when: claims.sub == 'é😀 한' || clams.sub == 'b'\n    ttl: 1h\n", `config.yaml:9:35: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: claims.sub == 'é😀 한' || clams.sub == 'b'
      |                                   ^^^^^
   hint: did you mean claims?`},
		{"a combining character is one more", "  - name: a\n    when: claims.sub == 'e\u0301' || clams.sub == 'b'\n    ttl: 1h\n", `config.yaml:9:33: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: claims.sub == 'é' || clams.sub == 'b'
      |                                 ^^^^^
   hint: did you mean claims?`},
		{"a tab inside", "  - name: a\n    when: claims.sub == 'a'\t||\tclams.sub == 'b'\n    ttl: 1h\n", `config.yaml:9:32: rules[0].when: unknown name "clams" [unknown-name]
    9 |     when: claims.sub == 'a'	||	clams.sub == 'b'
      |                            	  	^^^^^
   hint: did you mean claims?`},
		{"line ends of two characters", "  - name: a\r\n    when: |\r\n      claims.sub == 'a'\r\n      || clams.sub == 'b'\r\n    ttl: 1h\r\n", `config.yaml:11:10: rules[0].when: unknown name "clams" [unknown-name]
   11 |       || clams.sub == 'b'
      |          ^^^^^
   hint: did you mean claims?`},
		{"folded with line ends of two characters", "  - name: a\r\n    when: 'claims.sub == ''a''\r\n\r\n      || clams.sub == ''b'''\r\n    ttl: 1h\r\n", `config.yaml:11:10: rules[0].when: unknown name "clams" [unknown-name]
   11 |       || clams.sub == ''b'''
      |          ^^^^^
   hint: did you mean claims?`},
		{"below a line separator, which YAML counts and editors do not", "  - {name: \"a\u2028b\u0085c\", when: 'true', ttl: 1h}\n  - name: a\n    when: claims.sub == 'a' || clams.sub == 'b'\n    ttl: 1h\n", `config.yaml:10:32: rules[1].when: unknown name "clams" [unknown-name]
   10 |     when: claims.sub == 'a' || clams.sub == 'b'
      |                                ^^^^^
   hint: did you mean claims?`},
		{"the end is missing, plain", "  - name: a\n    when: claims.sub ==\n    ttl: 1h\n", `config.yaml:9:24: rules[0].when: the expression ends too early [syntax]
    9 |     when: claims.sub ==
      |                        ^`},
		{"the end is missing, literal", "  - name: a\n    when: |\n      claims.sub ==\n    ttl: 1h\n", `config.yaml:10:20: rules[0].when: the expression ends too early [syntax]
   10 |       claims.sub ==
      |                    ^`},
		{"the end is missing, folded and kept", "  - name: a\n    when: >+\n      claims.sub ==\n\n\n    ttl: 1h\n", `config.yaml:10:20: rules[0].when: the expression ends too early [syntax]
   10 |       claims.sub ==
      |                    ^`},
		{"the end is missing, double quoted", "  - name: a\n    when: \"claims.sub ==\\x20\"\n    ttl: 1h\n", `config.yaml:9:25: rules[0].when: the expression ends too early [syntax]
    9 |     when: "claims.sub ==\x20"
      |                         ^`},
		{"a value, plain", "  - name: a\n    when: \"true\"\n    identity: a_${escape(clams.sub)}\n", `config.yaml:10:26: rules[0].identity: unknown name "clams" [unknown-name]
   10 |     identity: a_${escape(clams.sub)}
      |                          ^^^^^
   hint: did you mean claims?`},
		{"a value, single quoted", "  - name: a\n    when: \"true\"\n    identity: 'it''s_${escape(clams.sub)}'\n", `config.yaml:10:31: rules[0].identity: unknown name "clams" [unknown-name]
   10 |     identity: 'it''s_${escape(clams.sub)}'
      |                               ^^^^^
   hint: did you mean claims?`},
		{"a value, double quoted", "  - name: a\n    when: \"true\"\n    identity: \"\\u00e9\\\"_${escape(clams.sub)}\"\n", `config.yaml:10:34: rules[0].identity: unknown name "clams" [unknown-name]
   10 |     identity: "\u00e9\"_${escape(clams.sub)}"
      |                                  ^^^^^
   hint: did you mean claims?`},
		{"a value, double quoted, the opening escaped", "  - name: a\n    when: \"true\"\n    identity: \"\\x24\\x7bescape(clams.sub)}\"\n", `config.yaml:10:31: rules[0].identity: unknown name "clams" [unknown-name]
   10 |     identity: "\x24\x7bescape(clams.sub)}"
      |                               ^^^^^
   hint: did you mean claims?`},
		{"a value, literal", "  - name: a\n    when: \"true\"\n    identity: |-\n      é_${escape(clams.sub)}\n", `config.yaml:11:18: rules[0].identity: unknown name "clams" [unknown-name]
   11 |       é_${escape(clams.sub)}
      |                  ^^^^^
   hint: did you mean claims?`},
		{"a value, folded", "  - name: a\n    when: \"true\"\n    identity: >-\n      é_${escape(claims.sub)}\n      ${escape(clams.sub)}\n", `config.yaml:12:16: rules[0].identity: unknown name "clams" [unknown-name]
   12 |       ${escape(clams.sub)}
      |                ^^^^^
   hint: did you mean claims?`},
		{"a value in flow style", "  - name: a\n    when: \"true\"\n    grants:\n      video: {room: \"$${é}-${escape(clams.sub)}\"}\n", `config.yaml:11:37: rules[0].grants.video.room: unknown name "clams" [unknown-name]
   11 |       video: {room: "$${é}-${escape(clams.sub)}"}
      |                                     ^^^^^
   hint: did you mean claims?`},
		{"a lone dollar sign, double quoted", "  - name: a\n    when: \"true\"\n    grants:\n      video: {room: \"\\x41\\x24\"}\n", `config.yaml:11:26: rules[0].grants.video.room: a lone $ [template-syntax]
   11 |       video: {room: "\x41\x24"}
      |                          ^^^^
   hint: write $$ for a dollar sign, or ${…} for an expression`},
		{"an opening that is not closed, folded by quotes", "  - name: a\n    when: \"true\"\n    grants:\n      video: {room: 'it''s\n        ${claims.sub'}\n", `config.yaml:12:9: rules[0].grants.video.room: ${ is not closed [template-syntax]
   12 |         ${claims.sub'}
      |         ^^
   hint: close the expression with }`},
		{"two faults in one value", "  - name: a\n    when: \"true\"\n    grants:\n      video: {room: \"${clams.a}-${clams.b}\"}\n", `config.yaml:11:24: rules[0].grants.video.room: unknown name "clams" [unknown-name]
   11 |       video: {room: "${clams.a}-${clams.b}"}
      |                        ^^^^^
   hint: did you mean claims?
config.yaml:11:35: rules[0].grants.video.room: unknown name "clams" [unknown-name]
   11 |       video: {room: "${clams.a}-${clams.b}"}
      |                                   ^^^^^
   hint: did you mean claims?`},
		{"in an alias, at its anchor", "  - {name: a, when: &x \"clams.sub == 'a'\", ttl: 1h}\n  - {name: b, when: *x, ttl: 1h}\n", `config.yaml:8:25: rules[0].when: unknown name "clams" [unknown-name]
    8 |   - {name: a, when: &x "clams.sub == 'a'", ttl: 1h}
      |                         ^^^^^
   hint: did you mean claims?
config.yaml:8:25: rules[1].when: unknown name "clams" [unknown-name]
    8 |   - {name: a, when: &x "clams.sub == 'a'", ttl: 1h}
      |                         ^^^^^
   hint: did you mean claims?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("config.yaml", []byte(head+tt.text), config.Options{Getenv: getenv})
			var found config.Diagnostics
			errors.As(err, &found)
			found = slices.DeleteFunc(found, func(d config.Diagnostic) bool { return d.Warning })
			if diff := cmp.Diff(tt.want, found.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// marker is a name that no expression knows.
const marker = "nope7"

// writeScalar writes text as a YAML scalar of a style, in one of the many ways
// in which it can be written; indent is that of its further lines. The value it
// stands for may differ from text in white space. ok is false when the style
// cannot hold the text.
func writeScalar(r *rand.Rand, style, text, indent, end string) (s string, ok bool) {
	lineEnd := end + strings.Repeat(end, r.IntN(2)) + indent
	printable := func(c rune) bool {
		return c == '\n' || c == '\t' || unicode.IsPrint(c)
	}
	var b strings.Builder
	switch style {
	case "plain":
		words := strings.Fields(text)
		for i, word := range words {
			if strings.ContainsAny(word, "#:{}[],\"`|>%@&*!?-") && (i == 0 || strings.ContainsAny(word, "#:{}[],")) {
				return "", false
			}
			if strings.IndexFunc(word, func(c rune) bool { return !printable(c) }) >= 0 || strings.HasPrefix(word, "'") && i == 0 {
				return "", false
			}
			if i > 0 {
				b.WriteString([]string{" ", "  ", lineEnd}[r.IntN(3)])
			}
			b.WriteString(word)
		}
		return b.String(), len(words) > 0
	case "single":
		for _, c := range text {
			switch {
			case !printable(c):
				return "", false
			case c == '\'':
				b.WriteString("''")
			case c == '\n', c == ' ' && r.IntN(3) == 0:
				b.WriteString(lineEnd)
			default:
				b.WriteRune(c)
			}
		}
		return "'" + b.String() + "'", true
	case "double":
		named := map[rune]string{'\n': `\n`, '\t': `\t`, '"': `\"`, '\\': `\\`, ' ': `\ `, 0: `\0`, 0x1b: `\e`, 0xa0: `\_`, 0x85: `\N`, 0x2028: `\L`, '/': `\/`}
		for part, rest := "", text; rest != ""; rest = rest[len(part):] {
			if strings.HasPrefix(rest, marker) { // is searched for, so written as it is
				part = marker
				b.WriteString(marker)
				continue
			}
			c, size := utf8.DecodeRuneInString(rest)
			part = rest[:size]
			must := !printable(c) || c == '"' || c == '\\'
			switch n := r.IntN(12); {
			case n == 0 && c < 0x100:
				fmt.Fprintf(&b, `\x%02x`, c)
			case n == 1 && c < 0x10000:
				fmt.Fprintf(&b, `\u%04X`, c)
			case n == 2, must && named[c] == "":
				fmt.Fprintf(&b, `\U%08x`, c)
			case n < 6 && named[c] != "", must:
				b.WriteString(named[c])
			case c == '\n', c == ' ' && n == 6:
				b.WriteString(lineEnd)
			case c == ' ' && n == 7: // a line break, in the value too
				b.WriteString(`\` + end + end + indent)
			case c == ' ' && n == 8:
				b.WriteString(`\` + end + indent + `\` + end + indent + `\x20`)
			case c != ' ' && n == 9: // a line break that is none
				b.WriteString(`\` + end + indent + string(c))
			default:
				b.WriteRune(c)
			}
		}
		return `"` + b.String() + `"`, true
	}
	// The two block styles.
	header := map[string]string{"literal": "|", "folded": ">"}[style]
	header += []string{"", "-", "+"}[r.IntN(3)]
	text = strings.TrimSpace(text)
	if text == "" || strings.IndexFunc(text, func(c rune) bool { return !printable(c) }) >= 0 {
		return "", false
	}
	if r.IntN(3) == 0 { // the indentation is said, and what goes beyond it is text
		header += fmt.Sprint(len(indent) - 4)
		text = "  " + text
	}
	if r.IntN(3) == 0 {
		header += "  # " + marker[:4]
	}
	b.WriteString(header + end)
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(indent + line + end)
		if style == "folded" {
			b.WriteString(strings.Repeat(end, r.IntN(2)))
		}
	}
	return strings.TrimSuffix(b.String(), end), true
}

var scalarStyles = []string{"plain", "single", "double", "literal", "folded"}

// FuzzPosition writes an unknown name between two strings into a condition or a
// value, in a random style, and looks for its diagnostic at the place where a
// search of the file finds it.
func FuzzPosition(f *testing.F) {
	for i, text := range []string{"", "a", "é\t'\"\\", "x\n y\n\n  z ", "\u0085\u2028\u00a0", "😀#: {}[],", "\x00\x1b\x7f", "a  b c d e f g h i j k"} {
		for seed := range uint64(60) {
			f.Add(text, "b "+text, seed*7+uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, before, after string, seed uint64) {
		if strings.Contains(before+after, marker) || !utf8.ValidString(before) || !utf8.ValidString(after) || strings.Contains(before+after, "\r") {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		style := scalarStyles[r.IntN(len(scalarStyles))]
		end := []string{"\n", "\r\n"}[r.IntN(2)]
		celString := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "$", `\u0024`)
		text := "'''" + celString.Replace(before) + "''' != claims.sub ||" + []string{" ", "\n", "  "}[r.IntN(3)] + marker +
			" || r'''" + strings.NewReplacer("'", "", "$", "", `\`, "").Replace(after) + "''' != claims.sub"
		if style == "plain" {
			text = "true && " + text
		}
		value := r.IntN(2) == 0
		if value {
			text = strings.ReplaceAll(before, "$", "$$") + "${" + text + " ? 'a' : 'b'}" + strings.ReplaceAll(after, "$", "$$")
		}
		scalar, ok := writeScalar(r, style, text, "        ", end)
		if !ok {
			return
		}
		flow := style != "literal" && style != "folded" && style != "plain" && r.IntN(2) == 0
		key := map[bool]string{false: "when", true: "identity"}[value]
		other := map[bool]string{false: "ttl: 1h", true: "when: 'true'"}[value]
		rule := "  - name: é" + end + "    " + other + end + "    " + key + ": " + []string{"", "&a "}[r.IntN(2)] + scalar + end
		if flow {
			rule = "  - {name: é, " + other + ", " + key + ": " + scalar + "}" + end
		}
		file := []string{"", "\ufeff"}[r.IntN(2)] + strings.ReplaceAll(head, "\n", end) + rule

		_, err := config.Parse("config.yaml", []byte(file), config.Options{Getenv: getenv, ReadFile: readFrom(nil)})
		var found config.Diagnostics
		if !errors.As(err, &found) {
			t.Fatalf("%v\n%s", err, file)
		}
		at := strings.Index(file, marker)
		start := strings.LastIndex(file[:at], "\n") + 1
		line := strings.Count(file[:at], "\n") + 1
		column := utf8.RuneCountInString(strings.TrimPrefix(file[start:at], "\ufeff")) + 1
		for _, d := range found {
			if d.ID == "unknown-name" {
				if d.Line != line || d.Column != column || d.Length != len(marker) {
					t.Errorf("%d:%d+%d, want %d:%d+%d\n%q\n%v", d.Line, d.Column, d.Length, line, column, len(marker), file, found)
				}
				return
			}
		}
		t.Errorf("not found\n%q\n%v", rule, found)
	})
}
