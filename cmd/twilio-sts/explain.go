package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

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

	traceID string
	admins  []string // URLs
}

func (p *program) explainCommand() *cobra.Command {
	var c explainCommand
	cmd := &cobra.Command{
		Use:   "explain --config FILE (--token FILE | --claims FILE | --trace-id ID)",
		Short: "Show what somebody gets, and why",
		Long: `Run an exchange up to the minting and show each step: the checks, every rule in
order with its verdict and, where it did not match, that of each part of its
condition between &&, which rule set what and to whom others lost, the outcome,
and, where no rule grants anything, the one that came closest. It is recorded by
the evaluator that serves exchanges.

  ✓ it holds   ✗ it does not   ? it cannot be decided   · it was not evaluated

What somebody gets, identity and grants, is the answer: it is shown with the
values that rules put into it. pseudonym() puts in none that can be read.

Claims are a JSON object; what a test case may leave out may be left out. A token
is verified with the issuer's keys. Values of claims and parameters are not shown
unless asked for, and then with each part that reads them; iss, aud or azp is shown
where it is why a token is not taken. The exit code is 1 when the person is
refused, and 3 when the issuer's keys cannot be had.

With --trace-id, which every refusal and audit line has, a running service tells
what it decided: it remembers its last 1,000 decisions on tokens that verified, and
as many refusals before that. Replicas are asked in the order given. Values are
those that audit.claims lists; the others are unknown. The admin token, where the
service has one, is that of TWILIO_STS_ADMIN_TOKEN, or of a --config that is given.`,
		Example: `  echo '{"sub": "a1", "groups": ["support"]}' | twilio-sts explain --claims -
  twilio-sts explain --claims claims.json --param room=lobby --show-values
  twilio-sts explain --token token.txt --unverified
  twilio-sts explain --trace-id 0af7651916cd43dd8448eb211c80319c`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.traceID != "" || cmd.Flags().Changed("admin") {
				return c.decision(cmd, p)
			}
			return c.run(cmd.Context(), p)
		},
	}
	cmd.Flags().StringVar(&c.path, "config", defaultConfig, "the configuration `FILE`")
	cmd.Flags().StringVar(&c.token, "token", "", "an ID token in `FILE`, - for standard input")
	cmd.Flags().StringVar(&c.claims, "claims", "", "claims as JSON in `FILE`, - for standard input")
	cmd.Flags().StringVar(&c.issuer, "issuer", "", "the `NAME` of the issuer the claims are from")
	cmd.Flags().StringArrayVar(&c.params, "param", nil, "a request parameter, `NAME=VALUE`; may be repeated")
	cmd.Flags().StringVar(&c.scope, "scope", "", "the kinds of grant asked for")
	cmd.Flags().BoolVar(&c.unverified, "unverified", false, "go on with a token that does not verify")
	cmd.Flags().BoolVar(&c.showValues, "show-values", false, "show the values of claims and parameters")
	cmd.Flags().StringVar(&c.traceID, "trace-id", "", "the trace `ID` of a request to a running service")
	cmd.Flags().StringArrayVar(&c.admins, "admin", nil, "the `URL` of its admin listener (default that of --config, or "+defaultAdmin+"); may be repeated")
	cmd.Flags().BoolVar(&c.json, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&c.noSecrets, "no-secrets", false, "do without the secrets that are missing")
	completeFrom(cmd, "issuer", func() []string {
		cfg, err := config.Load(c.path, config.Options{Getenv: p.getenv, NoSecrets: true, SkipTests: true})
		if err != nil {
			return nil
		}
		return issuerNames(cfg)
	})
	return cmd
}

func issuerNames(cfg *config.Config) []string {
	names := make([]string, len(cfg.Issuers))
	for i := range cfg.Issuers {
		names[i] = cfg.Issuers[i].Name
	}
	return names
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
	if err := c.checkNames(p, cfg, r); err != nil {
		return err
	}
	service, err := exchange.New(cfg, exchange.Options{Now: p.now})
	if err != nil {
		return err
	}
	x, err := service.Explain(ctx, r)
	if errors.Is(err, exchange.ErrWhichIssuer) {
		return usageErrorf("%s\ntwilio-sts: hint: --issuer NAME", err)
	}
	if err != nil {
		return err
	}
	e := c.explained(cfg, r, x, p.now())
	if c.json {
		err = p.printJSON(e)
	} else {
		e.print(p.stdout, c.showValues)
	}
	if x.Verified != nil && !c.unverified && rules.ReasonOf(x.Verified) != rules.MalformedToken {
		flags := "--unverified"
		if rules.ReasonOf(x.Verified) == rules.UnknownIssuer && len(cfg.Issuers) > 1 {
			flags += " --issuer NAME"
		}
		fmt.Fprintf(p.stderr, "twilio-sts: hint: %s goes on with this token all the same\n", flags)
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
		return r, usageErrorf("explain takes one of --token, --claims and --trace-id\ntwilio-sts: hint: twilio-sts explain --help")
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
	if err != nil {
		return r, err
	}
	if r.Token, err = tokenIn(string(data)); err != nil || r.Token == "" {
		return r, fmt.Errorf("%s holds no token", c.token)
	}
	return r, nil
}

// checkNames checks the names on the command line against the configuration's.
// A service ignores a parameter that it does not know, and so is it here.
func (c *explainCommand) checkNames(p *program, cfg *config.Config, r exchange.ExplainRequest) error {
	if c.issuer != "" && cfg.Issuer(c.issuer) == nil {
		return usageErrorf("no issuer is named %q\ntwilio-sts: hint: %s", c.issuer, meant(c.issuer, issuerNames(cfg)))
	}
	names := cfg.Rules.ParameterNames()
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		if slices.Contains(names, name) {
			continue
		}
		fmt.Fprintf(p.stderr, "twilio-sts: warning: no parameter is named %q: it is ignored, as in a request\n", name)
		if len(names) > 0 {
			fmt.Fprintf(p.stderr, "twilio-sts: hint: %s\n", meant(name, names))
		}
	}
	return nil
}

// meant suggests what was meant by a name that there is not.
func meant(name string, names []string) string {
	if near := rules.Nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "what there is: " + strings.Join(names, ", ")
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

// An explained is an explanation as it is shown. Values of claims and parameters
// are in Claims and Request alone, and only where they may be shown; otherwise
// their kinds are, such as "(string)". Identity and Grants hold what rules put
// into them.
type explained struct {
	Verification string         `json:"verification"`
	Notes        []string       `json:"notes,omitempty"` // both sides of what does not go together
	Issuer       string         `json:"issuer"`
	Client       string         `json:"client"`
	Claims       map[string]any `json:"claims"`
	Request      map[string]any `json:"request"` // parameters, with those that have a default
	Checks       []check        `json:"checks"`
	Require      []rules.Step   `json:"require"`
	Rules        []rules.Step   `json:"rules"`

	Refused rules.Reason `json:"refused,omitempty"`
	Detail  string       `json:"detail,omitempty"`
	Closest *closest     `json:"closest,omitempty"`

	Identity    string        `json:"identity,omitempty"`
	Account     string        `json:"account,omitempty"`
	TTL         string        `json:"ttl,omitempty"`
	Grants      *rules.Grants `json:"grants,omitempty"`
	Contributed []string      `json:"contributed,omitempty"` // rules
}

// A check is one that comes before the rules and the requirements.
type check struct {
	Name    string        `json:"name"`
	Verdict rules.Verdict `json:"verdict"`
	Why     string        `json:"why,omitempty"`
}

// A closest is the rule that came closest to granting something to somebody to
// whom none did.
type closest struct {
	Name    string           `json:"name"`
	Path    string           `json:"path"`
	Sets    []string         `json:"sets"`
	Expired bool             `json:"expired,omitempty"`
	Missing []rules.Conjunct `json:"missing,omitempty"`
}

func (c *explainCommand) explained(cfg *config.Config, r exchange.ExplainRequest, x *exchange.Explanation, now time.Time) *explained {
	e := &explained{
		Verification: verification(x), Notes: x.Notes, Issuer: x.Issuer, Client: x.Client,
		Claims: map[string]any{}, Request: map[string]any{}, Checks: []check{},
		Require: append([]rules.Step{}, x.Trace.Require...), Rules: append([]rules.Step{}, x.Trace.Rules...),
	}
	for name, value := range x.Claims {
		e.Claims[name] = c.shown(value)
	}
	if x.Issuer != "" {
		_, err := cfg.Rules.CheckClaims(x.Issuer, x.Claims, now)
		e.check("policy of issuer "+x.Issuer, err)
		request, err := cfg.Rules.Parameters(r.Params)
		if len(r.Params) > 0 {
			e.check("parameters", err)
		}
		for name, value := range request {
			e.Request[name] = c.shown(value)
		}
	}
	if x.Refusal != nil {
		e.Refused, e.Detail = rules.ReasonOf(x.Refusal), x.Refusal.Error()
		if e.Refused == rules.NoRule {
			e.Closest = newClosest(x.Trace.Closest())
		}
		return e
	}
	d := x.Decision
	e.Identity, e.Account, e.TTL, e.Grants, e.Contributed = d.Identity, d.Account, d.TTL.String(), &d.Grants, d.Rules
	return e
}

func (e *explained) check(name string, err error) {
	if err != nil {
		e.Checks = append(e.Checks, check{name, rules.NotMatched, err.Error()})
		return
	}
	e.Checks = append(e.Checks, check{name, rules.Matched, ""})
}

// shown is a value, or its kind where it may not be shown.
func (c *explainCommand) shown(value any) any {
	if c.showValues {
		return value
	}
	return "(" + rules.TypeName(value) + ")"
}

func newClosest(s *rules.Step) *closest {
	if s == nil {
		return nil
	}
	c := &closest{Name: s.Name, Path: s.Path, Sets: s.Sets, Expired: s.Verdict == rules.Expired}
	for _, conjunct := range s.Conjuncts {
		if conjunct.Verdict != rules.Matched {
			c.Missing = append(c.Missing, conjunct)
		}
	}
	return c
}

// An explainPrinter prints what a person reads.
type explainPrinter struct {
	*explained
	w      io.Writer
	values bool
}

func (e *explained) print(w io.Writer, values bool) {
	p := &explainPrinter{e, w, values}
	p.line("%s", e.Verification)
	for _, note := range e.Notes {
		p.line("  %s", note)
	}
	if e.Issuer != "" {
		p.line("issuer %s, client %s", e.Issuer, orNone(e.Client))
		for _, name := range slices.Sorted(maps.Keys(e.Claims)) {
			p.line("  %s %s", printable(name), p.value(e.Claims[name]))
		}
		for _, name := range slices.Sorted(maps.Keys(e.Request)) {
			p.line("  request.%s %s", name, p.value(e.Request[name]))
		}
	}
	p.steps()
	p.outcome()
}

// steps prints what was checked, in order.
func (p *explainPrinter) steps() {
	if len(p.Checks)+len(p.Require) > 0 {
		p.line("\nchecks")
	}
	for _, c := range p.Checks {
		p.line("  %s %s%s", mark(c.Verdict), c.Name, dash(c.Why))
	}
	for _, step := range p.Require {
		p.step(step.Path, &step)
	}
	if len(p.Rules) > 0 {
		p.line("\nrules")
	}
	for _, step := range p.Rules {
		name := step.Name
		if step.Deny {
			name += " (deny)"
		}
		p.step(name, &step)
		if len(step.Wins) > 0 {
			p.line("      sets %s", strings.Join(step.Wins, ", "))
		}
		for _, lost := range step.Loses {
			p.line("      %s is set by %s before it", lost.Output, lost.To)
		}
	}
}

// step prints a condition: on one line where it holds, and else with each of
// its conjuncts.
func (p *explainPrinter) step(name string, s *rules.Step) {
	why := s.Why
	switch {
	case s.Verdict == rules.Expired, s.Verdict == rules.NotReached:
		why = string(s.Verdict)
	case s.Verdict != rules.Matched && len(s.Conjuncts) > 0:
		why = "" // its conjuncts say so
	}
	p.line("  %s %s%s", mark(s.Verdict), name, dash(why))
	if !p.values && (s.Verdict == rules.Matched || s.Verdict == rules.Expired) {
		return
	}
	for _, c := range s.Conjuncts {
		p.line("      %s %s%s", mark(c.Verdict), c.Text, reason(c))
		for _, read := range c.Reads {
			p.read(read)
		}
	}
}

// read prints what a conjunct read.
func (p *explainPrinter) read(r rules.Read) {
	if !p.values {
		return
	}
	object, values := "claims", p.Claims
	if r.Kind == "parameter" {
		object, values = "request", p.Request
	}
	name := object + "." + r.Name
	if !identifier.MatchString(r.Name) {
		name = fmt.Sprintf("%s['%s']", object, r.Name)
	}
	if value := values[r.Name]; value != nil {
		p.line("          %s is %s", name, p.value(value))
	} else {
		p.line("          %s is absent", name)
	}
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// printable is a claim's name, quoted where it could be taken for more than one
// by a terminal: a token that does not verify may name anything.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// value is a value as JSON, or its kind.
func (p *explainPrinter) value(v any) string {
	text, err := json.Marshal(v)
	if err != nil || !p.values {
		return fmt.Sprint(v)
	}
	return string(text)
}

func (p *explainPrinter) outcome() {
	if p.Refused == "" {
		p.line("\ngranted\n  identity  %s\n  account   %s\n  ttl       %s", p.Identity, p.Account, p.TTL)
		grants, err := json.MarshalIndent(p.Grants, "  ", "  ")
		if err == nil {
			p.line("  grants    %s", grants)
		}
		return
	}
	p.line("\nrefused: %s", p.Detail)
	if p.Closest == nil {
		return
	}
	p.line("closest is %s, which sets %s, but:", p.Closest.Name, strings.Join(p.Closest.Sets, ", "))
	if p.Closest.Expired {
		p.line("  %s it has expired", mark(rules.NotMatched))
	}
	for _, c := range p.Closest.Missing {
		p.line("  %s %s%s", mark(c.Verdict), cut(c.Text), reason(c))
	}
}

func (p *explainPrinter) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// cut shortens what was printed in full before.
func cut(text string) string {
	if r := []rune(text); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return text
}

// reason tells why a conjunct is neither true nor false.
func reason(c rules.Conjunct) string {
	if c.Why == "" {
		return ""
	}
	return fmt.Sprintf(" — %s: %s", c.Verdict, c.Why)
}

func dash(why string) string {
	if why == "" {
		return ""
	}
	return " — " + why
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
	case rules.Undecided, rules.Unknown:
		return "?"
	}
	return "·"
}
