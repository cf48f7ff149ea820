package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
)

// The parts of JUnit's XML that CI systems read; there is no standard for it.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

// A junitSuite is a file of cases.
type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"` // what reports group by: the file
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes the results into a file.
func writeJUnit(path string, results []caseResult) error {
	var suites junitSuites
	for _, r := range results {
		if n := len(suites.Suites); n == 0 || suites.Suites[n-1].Name != r.file {
			suites.Suites = append(suites.Suites, junitSuite{Name: r.file})
		}
		suite := &suites.Suites[len(suites.Suites)-1]
		c := junitCase{Name: r.Name, Class: r.file}
		if !r.Passed {
			c.Failure = newJUnitFailure(r)
			suite.Failures++
			suites.Failures++
		}
		suite.Cases = append(suite.Cases, c)
		suite.Tests++
		suites.Tests++
	}
	data, err := xml.MarshalIndent(suites, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(xml.Header+string(data)+"\n"), 0o644)
}

func newJUnitFailure(r caseResult) *junitFailure {
	var what []string
	var text strings.Builder
	for _, d := range r.Diffs {
		what = append(what, d.What)
		fmt.Fprintf(&text, "%s\n  want %s\n  got  %s\n", d.What, d.Want, d.Got)
	}
	return &junitFailure{Message: r.Path + ": " + strings.Join(what, ", ") + " not as expected", Text: text.String()}
}
