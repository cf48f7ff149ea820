package main

import (
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

type testCommand struct {
	path, pattern string
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

The exit code is 1 when a test fails.`,
		Example: `  twilio-sts test --config config.yaml
  twilio-sts test --config config.yaml --run 'agent.*' more-cases.yaml`,
		RunE: func(_ *cobra.Command, files []string) error { return c.run(p, files) },
	}
	cmd.Flags().StringVar(&c.path, "config", "config.yaml", "the configuration `FILE`")
	cmd.Flags().StringVar(&c.pattern, "run", "", "run only the cases whose names match this `REGEXP`")
	cmd.Flags().BoolVar(&c.json, "json", false, "print the results as JSON")
	cmd.Flags().BoolVar(&c.noSecrets, "no-secrets", false, "do without the secrets that are missing")
	return cmd
}

// A caseResult is how a test came out.
type caseResult struct {
	Name   string       `json:"name"`
	Path   string       `json:"path"`
	Passed bool         `json:"passed"`
	Diffs  []rules.Diff `json:"diffs,omitempty"`
}

func (c *testCommand) run(p *program, files []string) error {
	run, err := regexp.Compile(c.pattern)
	if err != nil {
		return usageErrorf("--run is not a regular expression: %s", err)
	}
	o := config.Options{NoSecrets: c.noSecrets, SkipTests: true}
	cfg, err := p.load(c.path, o)
	if err != nil {
		return err
	}
	cases := cfg.Cases
	for _, file := range files {
		more, err := config.LoadCases(file, cfg, config.Options{Getenv: p.getenv})
		if err != nil {
			return err
		}
		for i := range more {
			more[i].Path = file + ":" + more[i].Path
		}
		cases = append(cases, more...)
	}
	results := []caseResult{}
	failed := 0
	for i := range cases {
		if !run.MatchString(cases[i].Name) {
			continue
		}
		diffs := cfg.Rules.RunCase(&cases[i]).Diffs
		results = append(results, caseResult{cases[i].Name, cases[i].Path, len(diffs) == 0, diffs})
		if len(diffs) > 0 {
			failed++
		}
	}
	if c.json {
		err = p.printJSON(map[string]any{"tests": results, "passed": len(results) - failed, "failed": failed})
	} else {
		c.print(p, results, failed)
	}
	if err == nil && failed > 0 {
		err = errProblems
	}
	return err
}

func (c *testCommand) print(p *program, results []caseResult, failed int) {
	for _, r := range results {
		if r.Passed {
			fmt.Fprintf(p.stdout, "PASS  %s\n", r.Name)
			continue
		}
		fmt.Fprintf(p.stdout, "FAIL  %s (%s)\n", r.Name, r.Path)
		for _, d := range r.Diffs {
			fmt.Fprintf(p.stdout, "      %s\n        want %s\n        got  %s\n", d.What, d.Want, d.Got)
		}
	}
	fmt.Fprintf(p.stdout, "%d passed, %d failed\n", len(results)-failed, failed)
}
