package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

type checkCommand struct {
	path, format  string
	explain       string
	allowWarnings bool
	noSecrets     bool
}

func (p *program) checkCommand() *cobra.Command {
	var c checkCommand
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Find what is wrong with a configuration",
		Long: `Load a configuration as serve would, run its tests, and print all that is wrong
with it at once: each fault with its line and column, and what would be right.

The exit code is 0 when there is nothing, and 1 when there are faults or, without
--allow-warnings, warnings.

Each fault ends in its id in brackets; --explain tells what is behind it.`,
		Example: `  twilio-sts check --config config.yaml
  twilio-sts check --config config.yaml --no-secrets --format github    in a pull request
  twilio-sts check --explain email-unverified                           what it is about`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("explain") {
				return c.explainID(p)
			}
			return c.run(p)
		},
	}
	cmd.Flags().StringVar(&c.path, "config", defaultConfig, "the configuration `FILE`, - for standard input")
	cmd.Flags().StringVar(&c.format, "format", "text", "how to print: text, json or github")
	cmd.Flags().BoolVar(&c.allowWarnings, "allow-warnings", false, "exit 0 when there are only warnings")
	cmd.Flags().BoolVar(&c.noSecrets, "no-secrets", false, "do without the secrets that are missing")
	cmd.Flags().StringVar(&c.explain, "explain", "", "explain the faults with this `ID`, and do nothing else")
	completeFrom(cmd, "format", func() []string { return []string{"text", "json", "github"} })
	completeFrom(cmd, "explain", config.DiagnosticIDs)
	return cmd
}

// completeFrom completes a flag's value by what there is.
func completeFrom(cmd *cobra.Command, flag string, values func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		var fit []string
		for _, value := range values() {
			if strings.HasPrefix(value, begun) {
				fit = append(fit, value)
			}
		}
		return fit, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag
	}
}

// explainID prints what there is to say about one kind of diagnostic.
func (c *checkCommand) explainID(p *program) error {
	if err := c.checkFormat(); err != nil {
		return err
	}
	text, ok := config.Explain(c.explain)
	if ok && c.format == "json" {
		return p.printJSON(map[string]string{"id": c.explain, "explanation": strings.Join(strings.Fields(text), " ")})
	}
	if ok {
		fmt.Fprintln(p.stdout, wrap(text, 80))
		return nil
	}
	ids := config.DiagnosticIDs()
	hint := ""
	if near := rules.Nearest(c.explain, ids); near != "" {
		hint = "\ntwilio-sts: hint: did you mean " + near + "?"
	}
	return usageErrorf("no fault has the id %q%s\ntwilio-sts: hint: there are\n%s", c.explain, hint, wrap(strings.Join(ids, " "), 80))
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

func (c *checkCommand) checkFormat() error {
	if c.format != "text" && c.format != "json" && c.format != "github" {
		return usageErrorf("there is no format %q\ntwilio-sts: hint: the formats are text, json and github", c.format)
	}
	return nil
}

// load loads the configuration, from standard input for -.
func (c *checkCommand) load(p *program) (*config.Config, error) {
	o := config.Options{Getenv: p.getenv, NoSecrets: c.noSecrets}
	if c.path != "-" {
		return config.Load(c.path, o)
	}
	data, err := p.readInput(c.path)
	if err != nil {
		return nil, err
	}
	return config.Parse(c.path, data, o)
}

func (c *checkCommand) run(p *program) error {
	if err := c.checkFormat(); err != nil {
		return err
	}
	cfg, err := c.load(p)
	found := config.Diagnostics{}
	var faults config.Diagnostics
	switch {
	case errors.As(err, &faults):
		found = append(found, faults...)
	case err != nil:
		return err
	default:
		found = append(found, cfg.Warnings...)
		for _, d := range cfg.NotYet {
			d.Warning = true
			found = append(found, d)
		}
	}
	if err := c.print(p, cfg, found); err != nil {
		return err
	}
	if cfg == nil || len(found) > 0 && !c.allowWarnings {
		return errProblems
	}
	return nil
}

func (c *checkCommand) print(p *program, cfg *config.Config, found config.Diagnostics) error {
	switch c.format {
	case "json":
		return p.printJSON(map[string]any{"diagnostics": found})
	case "github":
		for _, d := range found {
			level := "error"
			if d.Warning {
				level = "warning"
			}
			fmt.Fprintf(p.stdout, "::%s file=%s,line=%d,col=%d,endColumn=%d,title=%s::%s\n",
				level, escapeProperty(d.File), d.Line, d.Column, d.Column+d.Length, escapeProperty(d.ID), escapeData(d.Path+": "+d.Message+hintOf(d)))
		}
		return nil
	}
	if len(found) > 0 {
		fmt.Fprintln(p.stdout, found)
	}
	if cfg != nil {
		fmt.Fprintf(p.stdout, "%s: %s, %s, %s pass\n", c.path, plural(len(cfg.Issuers), "issuer"), plural(cfg.Rules.Len(), "rule"), plural(len(cfg.Cases), "test"))
	}
	return nil
}

func hintOf(d config.Diagnostic) string {
	if d.Hint == "" {
		return ""
	}
	return " (" + d.Hint + ")"
}

// GitHub's workflow commands end at a line end and separate by : and ,.
func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func escapeProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escapeData(s))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
