package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange"
)

type explainCommand struct {
	path, token, claims, issuer string
	params                      []string
	scope                       string
	unverified, showValues      bool
	json, noSecrets             bool
}

func (p *program) explainCommand() *cobra.Command {
	var c explainCommand
	cmd := &cobra.Command{
		Use:   "explain --config FILE (--token FILE | --claims FILE)",
		Short: "Show what somebody gets, and why",
		Long: `Run an exchange up to the minting and show each step: the requirements, every
rule in order with its verdict, which rule set what and to whom others lost, and
the outcome. It is recorded by the evaluator that serves exchanges.

Claims are a JSON object; what a test case may leave out may be left out. A token
is verified with the issuer's keys. Claims' values are not shown unless asked for.
The exit code is 1 when the person is refused.`,
		Example: `  echo '{"sub": "a1", "groups": ["support"]}' | twilio-sts explain --claims -
  twilio-sts explain --token token.txt --unverified --param room=lobby`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context(), p) },
	}
	cmd.Flags().StringVar(&c.path, "config", "config.yaml", "the configuration `FILE`")
	cmd.Flags().StringVar(&c.token, "token", "", "an ID token in `FILE`, - for standard input")
	cmd.Flags().StringVar(&c.claims, "claims", "", "claims as JSON in `FILE`, - for standard input")
	cmd.Flags().StringVar(&c.issuer, "issuer", "", "the `NAME` of the issuer the claims are from")
	cmd.Flags().StringArrayVar(&c.params, "param", nil, "a request parameter, `NAME=VALUE`; may be repeated")
	cmd.Flags().StringVar(&c.scope, "scope", "", "the kinds of grant asked for")
	cmd.Flags().BoolVar(&c.unverified, "unverified", false, "go on with a token that does not verify")
	cmd.Flags().BoolVar(&c.showValues, "show-values", false, "show the values of claims")
	cmd.Flags().BoolVar(&c.json, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&c.noSecrets, "no-secrets", false, "do without the secrets that are missing")
	return cmd
}

func (c *explainCommand) run(ctx context.Context, p *program) error {
	r, err := c.request(p)
	if err != nil {
		return err
	}
	cfg, err := p.load(c.path, config.Options{NoSecrets: c.noSecrets, SkipTests: true})
	if err != nil {
		return err
	}
	service, err := exchange.New(cfg, exchange.Options{Now: p.now})
	if err != nil {
		return err
	}
	x, err := service.Explain(ctx, r)
	if err != nil {
		return err
	}
	if c.json {
		err = p.printJSON(c.document(x))
	} else {
		c.print(p, x)
	}
	if err == nil && x.Refusal != nil {
		err = errProblems
	}
	return err
}

// request reads what is to be explained.
func (c *explainCommand) request(p *program) (exchange.ExplainRequest, error) {
	r := exchange.ExplainRequest{Issuer: c.issuer, Scope: strings.Fields(c.scope), Unverified: c.unverified, Params: map[string]string{}}
	if (c.token == "") == (c.claims == "") {
		return r, usageErrorf("explain takes either --token or --claims\ntwilio-sts: hint: twilio-sts explain --help")
	}
	for _, param := range c.params {
		name, value, ok := strings.Cut(param, "=")
		if !ok {
			return r, usageErrorf("--param is NAME=VALUE")
		}
		r.Params[name] = value
	}
	if c.claims != "" {
		data, err := p.readInput(c.claims)
		r.Claims = data
		return r, err
	}
	data, err := p.readInput(c.token)
	r.Token = strings.TrimSpace(string(data))
	if err == nil && r.Token == "" {
		err = fmt.Errorf("%s holds no token", c.token)
	}
	return r, err
}

func verification(x *exchange.Explanation) string {
	switch {
	case !x.FromToken:
		return "claims as given, without a token"
	case x.Verified == nil:
		return "the token verifies"
	}
	return "the token does not verify: " + x.Verified.Error()
}

// claimValues returns the claims, their values only where they may be shown.
func (c *explainCommand) claimValues(claims rules.Claims) map[string]any {
	out := make(map[string]any, len(claims))
	for name, value := range claims {
		if c.showValues {
			out[name] = value
		} else {
			out[name] = "(" + kindOf(value) + ")"
		}
	}
	return out
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case string:
		return "string"
	case int64:
		return "int"
	case float64:
		return "double"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "number that is too large"
}

func (c *explainCommand) document(x *exchange.Explanation) map[string]any {
	doc := map[string]any{
		"verification": verification(x), "issuer": x.Issuer, "client": x.Client, "claims": c.claimValues(x.Claims),
		"require": x.Trace.Require, "rules": x.Trace.Rules,
	}
	if x.Refusal != nil {
		doc["refused"], doc["detail"] = rules.ReasonOf(x.Refusal), x.Refusal.Error()
		return doc
	}
	d := x.Decision
	doc["identity"], doc["account"], doc["ttl"], doc["grants"], doc["contributed"] = d.Identity, d.Account, d.TTL.String(), d.Grants, d.Rules
	return doc
}

func (c *explainCommand) print(p *program, x *exchange.Explanation) {
	line := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	line("%s", verification(x))
	if x.Issuer != "" {
		line("issuer %s, client %s", x.Issuer, orNone(x.Client))
		values := c.claimValues(x.Claims)
		for _, name := range slices.Sorted(maps.Keys(values)) {
			value, err := json.Marshal(values[name])
			if err != nil || !c.showValues {
				value = []byte(fmt.Sprint(values[name]))
			}
			line("  %s %s", name, value)
		}
	}
	if len(x.Trace.Require) > 0 {
		line("\nrequirements")
		for _, step := range x.Trace.Require {
			line("  %s %s%s", mark(step.Verdict), step.Path, because(step))
		}
	}
	if len(x.Trace.Rules) > 0 {
		line("\nrules")
		for _, step := range x.Trace.Rules {
			kind := ""
			if step.Deny {
				kind = " (deny)"
			}
			line("  %s %s%s%s", mark(step.Verdict), step.Name, kind, because(step))
			if len(step.Wins) > 0 {
				line("      sets %s", strings.Join(step.Wins, ", "))
			}
			for _, lost := range step.Loses {
				line("      %s is set by %s before it", lost.Output, lost.To)
			}
		}
	}
	if x.Refusal != nil {
		line("\nrefused: %s", x.Refusal)
		return
	}
	line("\ngranted\n  identity  %s\n  account   %s\n  ttl       %s", x.Decision.Identity, x.Decision.Account, x.Decision.TTL)
	grants, err := json.MarshalIndent(x.Decision.Grants, "  ", "  ")
	if err == nil {
		line("  grants    %s", grants)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func mark(v rules.Verdict) string {
	switch v {
	case rules.Matched:
		return "✓"
	case rules.NotMatched:
		return "✗"
	case rules.Undecided:
		return "?"
	}
	return "·"
}

func because(s rules.Step) string {
	switch {
	case s.Verdict == rules.Matched && s.Why != "":
		return " — " + s.Why
	case s.Verdict == rules.Matched || s.Verdict == rules.NotMatched:
		return ""
	case s.Why != "":
		return " — " + string(s.Verdict) + ": " + s.Why
	}
	return " — " + string(s.Verdict)
}
