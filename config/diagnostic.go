package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// maxDiagnostics bounds how many faults are listed; a count stands for the
// rest.
const maxDiagnostics = 100

// A Diagnostic is one fault in a configuration, with its place.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line"`           // from 1
	Column  int    `json:"column"`         // from 1, in characters
	Length  int    `json:"length"`         // characters marked, at least 1
	Path    string `json:"path"`           // rules[4].when; "" for the file as a whole
	ID      string `json:"id"`             // type-mismatch
	Warning bool   `json:"warning"`        // the configuration is usable all the same
	Message string `json:"message"`        // what is wrong
	Hint    string `json:"hint,omitempty"` // what would be right
	Source  string `json:"-"`              // the line at fault
}

// String is the diagnostic with the source line and a mark under the fault:
//
//	config.yaml:22:32: rules[4].when: no matching overload for 'bool == string' [type-mismatch]
//	   22 |       && claims.email_verified == 'true'
//	      |                                ^^^^^^^^^
//	   hint: email_verified is a bool; write claims.email_verified
func (d Diagnostic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", d.File, d.Line, d.Column)
	if d.Warning {
		b.WriteString("warning: ")
	}
	if d.Path != "" {
		b.WriteString(d.Path + ": ")
	}
	fmt.Fprintf(&b, "%s [%s]\n", d.Message, d.ID)
	if d.Source != "" {
		before := []rune(d.Source)
		before = before[:min(d.Column-1, len(before))]
		for i, r := range before {
			if r != '\t' { // a tab under a tab is as wide
				before[i] = ' '
			}
		}
		fmt.Fprintf(&b, "%5d | %s\n", d.Line, d.Source)
		fmt.Fprintf(&b, "      | %s%s\n", string(before), strings.Repeat("^", max(1, d.Length)))
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "   hint: %s\n", d.Hint)
	}
	return b.String()
}

// Diagnostics are sorted by place. As an error they list every fault.
type Diagnostics []Diagnostic

// Error implements error.
func (ds Diagnostics) Error() string {
	var b strings.Builder
	for i, d := range ds {
		if i == maxDiagnostics {
			fmt.Fprintf(&b, "and %d more\n", len(ds)-i)
			break
		}
		b.WriteString(d.String())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// LogValue implements slog.LogValuer: the first fault, without its source line,
// and how many there are.
func (ds Diagnostics) LogValue() slog.Value {
	text, faults := "", 0
	for _, d := range ds {
		if d.Warning {
			continue
		}
		if faults++; faults == 1 {
			d.Source, d.Hint = "", ""
			text = strings.TrimSuffix(d.String(), "\n")
		}
	}
	if faults > 1 {
		text += fmt.Sprintf(", the first of %d faults", faults)
	}
	return slog.StringValue(text)
}

// split sorts by place and tells faults from warnings.
func (ds Diagnostics) split() (faults, warnings Diagnostics) {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for _, d := range ds {
		if d.Warning {
			warnings = append(warnings, d)
		} else {
			faults = append(faults, d)
		}
	}
	return faults, warnings
}
