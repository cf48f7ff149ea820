package main

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

type testCommand struct {
	path, pattern string
	coverage      bool
	minCoverage   int
	junit         string
	json          bool
	noSecrets     bool
}

func (p *program) testCommand() *cobra.Command {
	var c testCommand
	cmd := &cobra.Command{
		Use:   "test --config FILE [CASES.yaml...]",
		Short: "Run the tests of a configuration",
		Long: `Run the tests of a configuration, and those in further files: lists of cases as
under tests. Each case goes through all of an exchange but the signature.

Coverage is the percentage of goals that the cases reach: that each rule matches,
that each part of a condition between && is true in one case and false in
another, and that each identity, account, grant and field with ${} is computed.

The exit code is 1 when a test fails, no case matches --run, or less is covered
than asked for.`,
		Example: `  twilio-sts test --config config.yaml
  twilio-sts test --config config.yaml --run 'agent.*' more-cases.yaml
  twilio-sts test --no-secrets --min-coverage 90 --junit results.xml     in a pull request`,
		RunE: func(_ *cobra.Command, files []string) error { return c.run(p, files) },
	}
	cmd.Flags().StringVar(&c.path, "config", defaultConfig, "the configuration `FILE`")
	cmd.Flags().StringVar(&c.pattern, "run", "", "run only the cases whose names match this `REGEXP`")
	cmd.Flags().BoolVar(&c.coverage, "coverage", false, "show what no case has tried")
	cmd.Flags().IntVar(&c.minCoverage, "min-coverage", 0, "exit 1 when under `N` percent is covered; implies --coverage")
	cmd.Flags().StringVar(&c.junit, "junit", "", "write the results as JUnit XML into `FILE`, too")
	cmd.Flags().BoolVar(&c.json, "json", false, "print the results as JSON")
	cmd.Flags().BoolVar(&c.noSecrets, "no-secrets", false, "do without the secrets that are missing")
	return cmd
}

// A fileCase is a case with the file it stands in.
type fileCase struct {
	rules.Case
	file string
}

// A caseResult is how a test came out.
type caseResult struct {
	Name   string       `json:"name"`
	Path   string       `json:"path"`
	Passed bool         `json:"passed"`
	Diffs  []rules.Diff `json:"diffs,omitempty"`
	file   string
}

// A testReport is how all came out.
type testReport struct {
	Tests    []caseResult    `json:"tests"`
	Passed   int             `json:"passed"`
	Failed   int             `json:"failed"`
	Coverage *coverageReport `json:"coverage,omitempty"`
}

func (c *testCommand) run(p *program, files []string) error {
	run, err := regexp.Compile(c.pattern)
	if err != nil {
		return usageErrorf("--run is not a regular expression: %s", err)
	}
	if c.minCoverage < 0 || c.minCoverage > 100 {
		return usageErrorf("--min-coverage is a percentage, 0 to 100")
	}
	cfg, err := p.load(c.path, config.Options{NoSecrets: c.noSecrets, SkipTests: true})
	if err != nil {
		return err
	}
	cases, err := c.cases(p, cfg, files)
	if err != nil {
		return err
	}
	cases = slices.DeleteFunc(cases, func(c fileCase) bool { return !run.MatchString(c.Name) })
	nothing := c.pattern != "" && len(cases) == 0
	report := c.report(cfg, cases)
	if c.junit != "" {
		if err := writeJUnit(c.junit, report.Tests); err != nil {
			return err
		}
	}
	if c.json {
		err = p.printJSON(report)
	} else {
		report.print(p)
	}
	if nothing {
		fmt.Fprintf(p.stderr, "twilio-sts: error: no case matches %q\n", c.pattern)
	}
	tooLittle := report.Coverage != nil && 100*report.Coverage.Covered < c.minCoverage*report.Coverage.Goals
	if tooLittle {
		fmt.Fprintf(p.stderr, "twilio-sts: error: %d %% is covered, and --min-coverage asks for %d %%\n", report.Coverage.Percent, c.minCoverage)
	}
	if err == nil && (report.Failed > 0 || nothing || tooLittle) {
		err = errProblems
	}
	return err
}

// cases reads the cases of the configuration and of further files.
func (c *testCommand) cases(p *program, cfg *config.Config, files []string) ([]fileCase, error) {
	var all []fileCase
	for _, test := range cfg.Cases {
		all = append(all, fileCase{test, c.path})
	}
	for _, file := range files {
		more, err := config.LoadCases(file, cfg, config.Options{Getenv: p.getenv})
		if err != nil {
			return nil, err
		}
		for _, test := range more {
			test.Path = file + ":" + test.Path
			all = append(all, fileCase{test, file})
		}
	}
	return all, nil
}

func (c *testCommand) report(cfg *config.Config, cases []fileCase) *testReport {
	report := &testReport{Tests: []caseResult{}}
	var coverage *rules.Coverage
	if c.coverage || c.minCoverage > 0 {
		coverage = cfg.Rules.NewCoverage()
	}
	for i := range cases {
		test := &cases[i]
		var trace *rules.Trace
		if coverage != nil {
			trace = &rules.Trace{}
		}
		diffs := cfg.Rules.TraceCase(&test.Case, trace).Diffs
		if coverage != nil {
			coverage.Add(test.Issuer, trace)
		}
		report.Tests = append(report.Tests, caseResult{test.Name, test.Path, len(diffs) == 0, diffs, test.file})
		if len(diffs) > 0 {
			report.Failed++
		}
	}
	report.Passed = len(cases) - report.Failed
	if coverage != nil {
		report.Coverage = newCoverageReport(coverage)
	}
	return report
}

func (r *testReport) print(p *program) {
	for _, t := range r.Tests {
		if t.Passed {
			fmt.Fprintf(p.stdout, "PASS  %s\n", t.Name)
			continue
		}
		fmt.Fprintf(p.stdout, "FAIL  %s (%s)\n", t.Name, t.Path)
		for _, d := range t.Diffs {
			fmt.Fprintf(p.stdout, "      %s\n        want %s\n        got  %s\n", d.What, d.Want, d.Got)
		}
	}
	fmt.Fprintf(p.stdout, "%d passed, %d failed\n", r.Passed, r.Failed)
	if r.Coverage != nil {
		r.Coverage.print(p.stdout)
	}
}
