package main

import (
	"fmt"
	"io"
	"strings"

	"twilio-sts/config/rules"
)

// A coverageReport is how much of a configuration its tests have tried.
type coverageReport struct {
	Percent int                   `json:"percent"` // rounded down
	Covered int                   `json:"covered"`
	Goals   int                   `json:"goals"`
	Items   []*rules.CoverageItem `json:"items"`
}

func newCoverageReport(c *rules.Coverage) *coverageReport {
	r := &coverageReport{Percent: 100, Items: c.Items}
	r.Covered, r.Goals = c.Count()
	if r.Goals > 0 {
		r.Percent = 100 * r.Covered / r.Goals
	}
	return r
}

func (r *coverageReport) print(w io.Writer) {
	fmt.Fprintf(w, "\ncoverage\n")
	for _, item := range r.Items {
		covered, goals := item.Count()
		name := item.Name
		if item.Deny {
			name += " (deny)"
		}
		if item.Issuers != nil {
			name += ", for " + strings.Join(item.Issuers, ", ")
		}
		fmt.Fprintf(w, "%4d/%-3d %s\n", covered, goals, name)
		for _, missing := range missingGoals(item) {
			fmt.Fprintf(w, "           %s\n", missing)
		}
	}
	fmt.Fprintf(w, "%d %% (%d of %d goals)\n", r.Percent, r.Covered, r.Goals)
}

// missingGoals tells what no case made happen.
func missingGoals(item *rules.CoverageItem) []string {
	var missing []string
	of := "" // what the last line is about
	for _, goal := range item.Goals {
		never := "never " + goal.Want
		switch {
		case goal.Covered:
			continue
		case goal.Of == "":
		case goal.Of == of:
			missing[len(missing)-1] += ", " + never
			continue
		default:
			never = goal.Of + " — " + never
		}
		of = goal.Of
		missing = append(missing, never)
	}
	return missing
}
