package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange"
)

type diffCommand struct {
	cases     []string
	audit     string
	failOn    string
	json      bool
	noSecrets bool
}

func (p *program) diffCommand() *cobra.Command {
	var c diffCommand
	cmd := &cobra.Command{
		Use:   "diff OLD.yaml NEW.yaml [--cases CASES.yaml...]",
		Short: "Show what a change of the configuration changes for whom",
		Long: `Decide about people by two configurations and show for whom the outcome differs:
who gains and who loses which identity, account, grant, field or lifetime.

The people are those of the tests of both files, of the files of cases given, and
of an audit file; each is decided about anew, by both. What gives somebody what
they did not have widens, another identity, account or value included; what only
takes away narrows.

An audit line tells the claims and parameters that audit.claims lists, and what
hangs on another is undecided: such people are counted apart, with the names that
are missing. An identity that a line cannot tell counts as the same where both
files compute it alike, and as one that Twilio takes. From audit lines require and
rules are decided, at the line's time and as if every kind of grant was asked for;
audiences and the other checks of a token are not. Issuers are matched by name.

The exit code is 0 whatever changes, or, with --fail-on widen, 1 when something
widens.`,
		Example: `  twilio-sts diff config.yaml new.yaml
  twilio-sts diff config.yaml new.yaml --cases cases/*.yaml
  twilio-sts diff config.yaml new.yaml --audit audit.jsonl --fail-on widen`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || len(args) > 2 && c.cases == nil {
				return usageErrorf("%s takes two arguments, the old configuration and the new one\ntwilio-sts: hint: %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c.cases = append(c.cases, args[2:]...) // --cases takes one, and what follows are more
			return c.run(p, args[0], args[1])
		},
	}
	cmd.Flags().StringArrayVar(&c.cases, "cases", nil, "a `FILE` of further test cases; more may follow it")
	cmd.Flags().StringVar(&c.audit, "audit", "", "an audit `FILE`, - for standard input")
	cmd.Flags().StringVar(&c.failOn, "fail-on", "", "exit 1 when a change is of this `KIND`: widen")
	cmd.Flags().BoolVar(&c.json, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&c.noSecrets, "no-secrets", false, "do without the secrets that are missing")
	completeFrom(cmd, "fail-on", func() []string { return []string{"widen"} })
	return cmd
}

// A side is one of the two configurations.
type side struct {
	path     string
	cfg      *config.Config
	defaults map[string]string // of parameters
}

// A person is somebody to decide about, by either side.
type person struct {
	name   string
	from   string // the file and the place in it
	issuer string
	known  []any // all that is known of them and their request
	decide func(*side) rules.Outcome
}

// A difference is what two configurations change for a person, or what that
// hangs on.
type difference struct {
	Person  string         `json:"person"`
	From    string         `json:"from"`
	Issuer  string         `json:"issuer"`
	Changes []rules.Change `json:"changes,omitempty"`
	Missing []string       `json:"missing,omitempty"` // the outcome hangs on these
	// Assumed says that the changes take an identity that is not known for one
	// that Twilio takes.
	Assumed bool `json:"identity_not_known,omitempty"`
}

// A diffReport is what diff prints.
type diffReport struct {
	OnlyOld   []string     `json:"issuers_only_in_old"`
	OnlyNew   []string     `json:"issuers_only_in_new"`
	Changed   []difference `json:"changed"`
	Undecided []difference `json:"undecided"`
	People    int          `json:"people"`
	Unchanged int          `json:"unchanged"`
	Widened   int          `json:"widened"` // of the changed
}

func (c *diffCommand) run(p *program, oldPath, newPath string) error {
	if c.failOn != "" && c.failOn != "widen" {
		return usageErrorf("--fail-on has no %q\ntwilio-sts: hint: --fail-on widen", c.failOn)
	}
	before, err := c.load(p, oldPath)
	if err != nil {
		return err
	}
	after, err := c.load(p, newPath)
	if err != nil {
		return err
	}
	people, err := c.people(p, before, after)
	if err != nil {
		return err
	}
	if len(people) == 0 {
		fmt.Fprintln(p.stderr, "twilio-sts: hint: neither file has tests; --cases and --audit bring people to decide about")
	}
	report := newDiffReport(before, after, people)
	if c.json {
		err = p.printJSON(report)
	} else {
		report.print(p, before, after)
	}
	switch {
	case err != nil || c.failOn == "":
	case report.Widened > 0:
		err = errProblems
	case len(report.Undecided) > 0:
		fmt.Fprintf(p.stderr, "twilio-sts: warning: what widens for those who are undecided is not seen: %d of %d\n", len(report.Undecided), report.People)
	}
	return err
}

func (c *diffCommand) load(p *program, path string) (*side, error) {
	cfg, err := p.load(path, config.Options{NoSecrets: c.noSecrets, SkipTests: true})
	if err != nil {
		return nil, err
	}
	failed := 0
	for i := range cfg.Cases {
		if len(cfg.Rules.RunCase(&cfg.Cases[i]).Diffs) > 0 {
			failed++
		}
	}
	if failed > 0 {
		fmt.Fprintf(p.stderr, "twilio-sts: warning: %s: tests that fail: %d of %d; serve does not take it\ntwilio-sts: hint: twilio-sts test --config %s\n",
			path, failed, len(cfg.Cases), shellWord(path))
	}
	defaults, err := cfg.Rules.Parameters(nil)
	return &side{path, cfg, defaults}, err
}

// people returns everybody there is to decide about, each once, in the order in
// which they were found.
func (c *diffCommand) people(p *program, before, after *side) ([]person, error) {
	all := crowd{places: map[string][]int{}}
	for _, s := range []*side{before, after} {
		for _, test := range s.cfg.Cases {
			all.addCase(s, test, s.path)
		}
	}
	// A case may be about an issuer, or a parameter, that only one side has.
	either := *before.cfg
	either.Issuers = slices.Clone(either.Issuers)
	either.Parameters = slices.Concat(either.Parameters, after.cfg.Parameters)
	for _, name := range only(after, before) {
		either.Issuers = append(either.Issuers, *after.cfg.Issuer(name))
	}
	for _, path := range c.cases {
		cases, err := config.LoadCases(path, &either, config.Options{Getenv: p.getenv})
		if err != nil {
			return nil, err
		}
		for _, test := range cases {
			s := before
			if s.cfg.Issuer(test.Issuer) == nil {
				s = after
			}
			all.addCase(s, test, path)
		}
	}
	if c.audit != "" {
		if err := c.audited(p, before, after, &all); err != nil {
			return nil, err
		}
	}
	return all.people, nil
}

// audited adds the people of the audit file.
func (c *diffCommand) audited(p *program, before, after *side, all *crowd) error {
	in := p.stdin
	if c.audit != "-" {
		f, err := openFile(c.audit)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	read, strangers := 0, 0
	var cut []error
	for line, err := range exchange.ReadAudit(in) {
		if errors.Is(err, exchange.ErrNoAuditLine) {
			cut = append(cut, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.audit, err)
		}
		read++
		if before.cfg.Issuer(line.Issuer) == nil && after.cfg.Issuer(line.Issuer) == nil {
			strangers++
			continue
		}
		all.addLine(line, fmt.Sprintf("%s:%d", c.audit, line.Number), before, after)
	}
	switch {
	case len(cut) > 0 && read == 0:
		return fmt.Errorf("%s: %w", c.audit, cut[0])
	case len(cut) > 0:
		fmt.Fprintf(p.stderr, "twilio-sts: warning: %s: %s left out, first: %s\n", c.audit, plural(len(cut), "line"), cut[0])
	}
	if strangers > 0 {
		fmt.Fprintf(p.stderr, "twilio-sts: warning: %s: %s left out, of issuers that neither file has\n", c.audit, plural(strangers, "line"))
	}
	return nil
}

// A crowd is people, each once.
type crowd struct {
	people []person
	places map[string][]int // in people, by what is known as text, which 1 and 1.0 share
}

// add adds a person, or takes the place of the one of whom the same is known.
func (c *crowd) add(p person) {
	key := fmt.Sprint(p.known...)
	for _, i := range c.places[key] {
		if reflect.DeepEqual(c.people[i].known, p.known) {
			p.name, p.from = c.people[i].name, c.people[i].from
			c.people[i] = p
			return
		}
	}
	c.places[key] = append(c.places[key], len(c.people))
	c.people = append(c.people, p)
}

func (c *crowd) addCase(s *side, test rules.Case, path string) {
	test = s.cfg.Rules.Filled(test)
	c.add(person{
		name: test.Name, from: path + ":" + test.Path, issuer: test.Issuer,
		known: []any{test.Issuer, test.Claims, test.Request, test.Scope, test.At.Unix()},
		decide: func(s *side) rules.Outcome {
			r := s.cfg.Rules.RunCase(&test)
			return rules.Outcome{Decision: r.Decision, Err: r.Err}
		},
	})
}

// addLine adds the person of an audit line. Who is there already is decided
// about at the later time.
func (c *crowd) addLine(line *exchange.AuditLine, from string, before, after *side) {
	known := knownOf(line, before, after)
	input := rules.Input{Issuer: line.Issuer, Client: line.Client, Claims: line.Claims, Now: line.Time, Known: known}
	iss := issOf(line, before, after)
	if iss != "" {
		input.Claims["iss"] = iss
		known.Claims["iss"] = true
	}
	c.add(person{
		name: "subject " + line.Subject, from: from, issuer: line.Issuer,
		known: []any{line.Issuer, line.Subject, line.Client, line.Claims, line.Request, *known},
		decide: func(s *side) rules.Outcome {
			in := input
			if issuer := s.cfg.Issuer(line.Issuer); issuer != nil {
				in.IssuerID = issuer.Policy.IssuerID(iss)
			}
			var o rules.Outcome
			if in.Request, o.Err = s.cfg.Rules.Parameters(line.Request); o.Err == nil {
				o.Decision, o.Err = s.cfg.Rules.Decide(&in, nil)
			}
			return o
		},
	})
}

// knownOf returns what a line tells: the claims and parameters in it and, where
// one of the two configurations wrote it, that those it lists besides were
// absent.
func knownOf(line *exchange.AuditLine, sides ...*side) *rules.Known {
	k := &rules.Known{Claims: map[string]bool{}, Request: map[string]bool{}}
	for _, s := range sides {
		if s.cfg.Hash != line.Config {
			continue
		}
		for _, name := range s.cfg.Audit.Claims {
			if parameter, ok := strings.CutPrefix(name, "request."); ok {
				k.Request[parameter] = true
			} else {
				k.Claims[name] = !slices.Contains(line.Unclear, name)
			}
		}
	}
	for name := range line.Claims {
		k.Claims[name] = true
	}
	for name, value := range line.Request {
		k.Request[name] = true
		// A value that is a default on one side alone may not have been sent.
		was, wasThere := sides[0].defaults[name]
		is, isThere := sides[1].defaults[name]
		if (was != is || wasThere != isThere) && (wasThere && value == was || isThere && value == is) {
			k.Request[name] = false
		}
	}
	return k
}

// issOf returns the iss of a line's token where that is certain, else "".
func issOf(line *exchange.AuditLine, sides ...*side) string {
	if iss, ok := line.Claims["iss"].(string); ok {
		return iss
	}
	var ids []string
	for _, s := range sides {
		if issuer := s.cfg.Issuer(line.Issuer); issuer != nil {
			ids = append(ids, issuer.Policy.IssuerIDs...)
		}
	}
	if ids = slices.Compact(ids); len(ids) == 1 {
		return ids[0]
	}
	return ""
}

// only returns the names of the issuers that s has and other has not.
func only(s, other *side) []string {
	names := []string{}
	for i := range s.cfg.Issuers {
		if name := s.cfg.Issuers[i].Name; other.cfg.Issuer(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

func newDiffReport(before, after *side, people []person) *diffReport {
	r := &diffReport{
		OnlyOld: only(before, after), OnlyNew: only(after, before),
		Changed: []difference{}, Undecided: []difference{}, People: len(people),
	}
	for _, who := range people {
		d := difference{Person: who.name, From: who.from, Issuer: who.issuer}
		was, is := who.decide(before), who.decide(after)
		changes, err := rules.Compare(was, is)
		open := (*rules.Open)(nil)
		switch {
		case errors.As(err, &open):
			d.Missing = open.Missing
			r.Undecided = append(r.Undecided, d)
		case len(changes) == 0:
			r.Unchanged++
		default:
			d.Changes, d.Assumed = changes, errors.As(was.Err, &open) || errors.As(is.Err, &open)
			r.Changed = append(r.Changed, d)
			if slices.ContainsFunc(changes, func(c rules.Change) bool { return c.Direction == rules.Widens }) {
				r.Widened++
			}
		}
	}
	return r
}

func (r *diffReport) print(p *program, before, after *side) {
	line := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	for _, name := range r.OnlyOld {
		line("issuer %s is only in %s", name, before.path)
	}
	for _, name := range r.OnlyNew {
		line("issuer %s is only in %s", name, after.path)
	}
	for _, d := range r.Changed {
		line("%s (%s, issuer %s)", d.Person, d.From, d.Issuer)
		for _, change := range d.Changes {
			line("  %s", change)
		}
		if d.Assumed {
			line("  provided that Twilio takes their identity, which is not known")
		}
	}
	missing := map[string]int{}
	for _, d := range r.Undecided {
		missing[strings.Join(d.Missing, ", ")]++
	}
	for _, names := range slices.Sorted(maps.Keys(missing)) {
		line("undecided without %s: %s", names, headcount(missing[names]))
	}
	line("%s: %d unchanged, %d changed (widening for %d), %d undecided", headcount(r.People), r.Unchanged, len(r.Changed), r.Widened, len(r.Undecided))
}

func headcount(n int) string {
	if n == 1 {
		return "1 person"
	}
	return fmt.Sprintf("%d people", n)
}
