package rules_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

func TestCompare(t *testing.T) {
	base := func() *rules.Decision {
		return &rules.Decision{Identity: "idp_u1", Account: "main", TTL: time.Hour, Grants: rules.Grants{Chat: &rules.Chat{ServiceSID: is}}}
	}
	decision := func(change func(*rules.Decision)) rules.Outcome {
		d := base()
		change(d)
		return rules.Outcome{Decision: d}
	}
	refused := func(r rules.Reason) rules.Outcome { return rules.Outcome{Err: rules.Refuse(r, "a detail")} }
	voice := func(v rules.Voice) rules.Outcome {
		return decision(func(d *rules.Decision) { d.Grants = rules.Grants{Voice: &v} })
	}
	video := func(v rules.Video) rules.Outcome {
		return decision(func(d *rules.Decision) { d.Grants.Video = &v })
	}
	taskRouter := func(v rules.TaskRouter) rules.Outcome {
		return decision(func(d *rules.Decision) { d.Grants.TaskRouter = &v })
	}
	same := decision(func(*rules.Decision) {})
	params := func(m map[string]any) rules.Voice { return rules.Voice{OutgoingApplicationSID: ap, OutgoingParams: m} }

	// Each row is read both ways.
	for _, test := range []struct {
		name          string
		before, after rules.Outcome
		there, back   string
	}{
		{"nothing", same, same, "", ""},
		{"the rules that contributed", same, decision(func(d *rules.Decision) { d.Rules = []string{"another"} }), "", ""},
		{"two refusals for one reason", refused(rules.NoRule), refused(rules.NoRule), "", ""},
		{"refused for another reason", refused(rules.NoRule), refused(rules.Denied),
			`changes outcome: "refused: no_rule" → "refused: denied"`,
			`changes outcome: "refused: denied" → "refused: no_rule"`},
		{"refused, granted", refused(rules.NoRule), same,
			`widens outcome: "refused: no_rule" → "granted"
widens identity: gains "idp_u1"
widens account: gains "main"
widens ttl: gains "1h0m0s"
widens chat: gains {"service_sid":"` + is + `"}`,
			`narrows outcome: "granted" → "refused: no_rule"
narrows identity: loses "idp_u1"
narrows account: loses "main"
narrows ttl: loses "1h0m0s"
narrows chat: loses {"service_sid":"` + is + `"}`},
		{"identity", same, decision(func(d *rules.Decision) { d.Identity = "idp_u2" }),
			`widens identity: "idp_u1" → "idp_u2"`,
			`widens identity: "idp_u2" → "idp_u1"`},
		{"account", same, decision(func(d *rules.Decision) { d.Account = "eu" }),
			`widens account: "main" → "eu"`,
			`widens account: "eu" → "main"`},
		{"ttl", same, decision(func(d *rules.Decision) { d.TTL = 4 * time.Hour }),
			`widens ttl: "1h0m0s" → "4h0m0s"`,
			`narrows ttl: "4h0m0s" → "1h0m0s"`},
		{"a grant more", same, video(rules.Video{Room: "a"}),
			`widens video: gains {"room":"a"}`,
			`narrows video: loses {"room":"a"}`},
		{"one grant for another", same, voice(rules.Voice{IncomingAllow: true}),
			"widens voice: gains {\"incoming_allow\":true}\nnarrows chat: loses {\"service_sid\":\"" + is + "\"}",
			"narrows voice: loses {\"incoming_allow\":true}\nwidens chat: gains {\"service_sid\":\"" + is + "\"}"},
		{"a room for another", video(rules.Video{Room: "a"}), video(rules.Video{Room: "b"}),
			`widens video.room: "a" → "b"`,
			`widens video.room: "b" → "a"`},
		{"any room", video(rules.Video{Room: "a"}), video(rules.Video{AnyRoom: true}),
			`widens video.room: "a" → "any room"`,
			`narrows video.room: "any room" → "a"`},
		{"incoming calls", voice(rules.Voice{OutgoingApplicationSID: ap}), voice(rules.Voice{OutgoingApplicationSID: ap, IncomingAllow: true}),
			`widens voice.incoming_allow: gains true`,
			`narrows voice.incoming_allow: loses true`},
		{"outgoing calls", voice(rules.Voice{IncomingAllow: true}), voice(rules.Voice{IncomingAllow: true, OutgoingApplicationSID: ap, OutgoingParams: m{"team": "eu"}}),
			"widens voice.outgoing_application_sid: gains \"" + ap + "\"\nwidens voice.outgoing_params.team: gains \"eu\"",
			"narrows voice.outgoing_application_sid: loses \"" + ap + "\"\nnarrows voice.outgoing_params.team: loses \"eu\""},
		{"a parameter", voice(params(m{"a": "x", "tier": int64(1)})), voice(params(m{"a": "x", "tier": int64(2), "more": true})),
			"widens voice.outgoing_params.more: gains true\nwidens voice.outgoing_params.tier: 1 → 2",
			"widens voice.outgoing_params.more: loses true\nwidens voice.outgoing_params.tier: 2 → 1"},
		{"a device", voice(rules.Voice{IncomingAllow: true}), voice(rules.Voice{IncomingAllow: true, EndpointID: "phone", PushCredentialSID: cr}),
			"widens voice.push_credential_sid: gains \"" + cr + "\"\nwidens voice.endpoint_id: gains \"phone\"",
			"narrows voice.push_credential_sid: loses \"" + cr + "\"\nnarrows voice.endpoint_id: loses \"phone\""},
		{"a role", same, decision(func(d *rules.Decision) { d.Grants.Chat.DeploymentRoleSID = rl }),
			`widens chat.deployment_role_sid: gains "` + rl + `"`,
			`widens chat.deployment_role_sid: loses "` + rl + `"`},
		{"a worker", taskRouter(rules.TaskRouter{WorkspaceSID: ws}), taskRouter(rules.TaskRouter{WorkspaceSID: ws, WorkerSID: wk, Role: "worker"}),
			"widens task_router.worker_sid: gains \"" + wk + "\"\nwidens task_router.role: gains \"worker\"",
			"widens task_router.worker_sid: loses \"" + wk + "\"\nwidens task_router.role: loses \"worker\""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := compared(rules.Compare(test.before, test.after)); got != test.there {
				t.Errorf("there\n%s\nwant\n%s", got, test.there)
			}
			if got := compared(rules.Compare(test.after, test.before)); got != test.back {
				t.Errorf("back\n%s\nwant\n%s", got, test.back)
			}
		})
	}
}

// compared is what Compare returned, one change a line.
func compared(changes []rules.Change, err error) string {
	if err != nil {
		return err.Error()
	}
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = c.String()
	}
	return strings.Join(lines, "\n")
}

// TestDecidingWithUnknownClaims has claims of which sub, exp, iss and those in
// a row are known. The rows tell what hangs on the others.
func TestDecidingWithUnknownClaims(t *testing.T) {
	only := func(condition string) *rules.Spec { return newSpec(grants(condition, video("a"))) }
	deny := func(condition string) rules.RuleSpec {
		return with(when(condition), func(r *rules.RuleSpec) { r.Deny = "no" })
	}
	everyone := grants("true", video("a"))
	value := func(change func(*rules.RuleSpec)) *rules.Spec {
		return newSpec(with(grants("true", video("a")), change))
	}
	granted := one(`"video":{"room":"a"}`)

	for _, test := range []struct {
		name   string
		spec   *rules.Spec
		claims rules.Claims // the known ones
		want   string
	}{
		// However an unknown claim is read, what hangs on it is open.
		{"a member", only("claims.a == 'x'"), nil, "not decided without a"},
		{"an index", only("claims['https://a/b'] != 'x'"), nil, "not decided without https://a/b"},
		{"an optional member", only("claims.?a.orValue('x') == 'x'"), nil, "not decided without a"},
		{"an optional index", only("claims[?'a'].orValue('x') == 'x'"), nil, "not decided without a"},
		{"has", only("has(claims.a)"), nil, "not decided without a"},
		{"has, of a member of it", only("has(claims.a.b)"), nil, "not decided without a"},
		{"in", only("!('a' in claims)"), nil, "not decided without a"},
		{"hasValue", only("claims.?a.hasValue()"), nil, "not decided without a"},
		{"a loop", only("claims.groups.exists(g, g == 'x')"), nil, "not decided without groups"},
		{"a list", only("claims.a in ['x', 'y']"), nil, "not decided without a"},
		{"either of two", only("claims.a == 'x' || claims.b == 'x'"), nil, "not decided without a, b"},
		{"a choice", only("claims.a ? true : true"), nil, "not decided without a"},
		{"a parameter", only("request.room == 'x'"), nil, "not decided without request.room"},
		{"an optional parameter", only("request.?room.orValue('') == ''"), nil, "not decided without request.room"},
		{"pseudonym of an unknown claim", only("pseudonym(claims.a) != ''"), nil, "not decided without a"},
		{"an absent and an unknown claim", only("claims.b == 'x' && claims.a == 'x'"), rules.Claims{"b": nil}, "not decided without a"},

		// What is decided either way is decided.
		{"false && unknown", only("claims.b == 'x' && claims.a == 'x'"), rules.Claims{"b": "y"}, "no_rule"},
		{"unknown && false", only("claims.a == 'x' && claims.b == 'x'"), rules.Claims{"b": "y"}, "no_rule"},
		{"unknown || true", only("claims.a == 'x' || claims.b == 'x'"), rules.Claims{"b": "x"}, granted},
		{"true && unknown", only("claims.b == 'x' && claims.a == 'x'"), rules.Claims{"b": "x"}, "not decided without a"},
		{"a choice not taken", only("claims.b ? true : claims.a"), rules.Claims{"b": true}, granted},
		{"a loop that false saves", only("claims.b && claims.groups.exists(g, g == 'x')"), rules.Claims{"b": false}, "no_rule"},
		{"a loop that might cost too much", only("claims.groups.exists(g, g == 'x') && claims.b"), rules.Claims{"b": false}, "not decided without groups"},

		// Rules.
		{"a deny rule that may match", newSpec(deny("claims.a == 'x'"), everyone), nil, "not decided without a"},
		{"and another that does", newSpec(deny("claims.a == 'x'"), deny("true"), everyone), nil, "denied"},
		{"and another that is undecided", newSpec(deny("claims.a == 'x'"), deny("claims.b == 'x'"), everyone), rules.Claims{"b": nil}, "not decided without a"},
		{"a deny rule that cannot match", newSpec(deny("claims.a == 'x' && false"), everyone), nil, strings.ReplaceAll(granted, "r0", "r1")},
		{"a rule that may win", newSpec(grants("claims.a == 'x'", video("b")), everyone), nil, "not decided without a"},
		{"a rule that has lost", newSpec(everyone, grants("claims.a == 'x'", video("b"))), nil, granted},
		{"a rule that may add", newSpec(everyone, grants("claims.a == 'x'", video("b"), chat())), nil, "not decided without a"},
		{"a cap that may apply", newSpec(everyone, with(when("claims.a == 'x'"), func(r *rules.RuleSpec) { r.TTL = time.Minute })), nil, "not decided without a"},
		{"a rule past its day", newSpec(with(grants("claims.a == 'x'", chat()), func(r *rules.RuleSpec) { r.Expires = now }), everyone), nil, strings.ReplaceAll(granted, "r0", "r1")},
		{"an undecided rule after one that is decided either way", newSpec(grants("claims.a == 'x' && false", chat()), grants("claims.b == 'x'", chat()), everyone),
			rules.Claims{"b": nil}, strings.ReplaceAll(granted, "r0", "r2")},
		{"several rules", newSpec(grants("claims.b == 'x'", chat()), grants("claims.a == 'x'", video("b")), everyone), nil, "not decided without a, b"},
		{"a requirement", demanding(newSpec(everyone), "claims.a == 'x'"), nil, "not decided without a"},
		{"and another that fails", demanding(newSpec(everyone), "claims.a == 'x'", "claims.b"), rules.Claims{"b": false}, "requirement_failed"},

		// Values.
		{"an identity", value(func(r *rules.RuleSpec) { r.Identity.Source, r.InsecureIdentity = "x_${claims.a}", true }), nil, "not decided without a"},
		{"an account", value(func(r *rules.RuleSpec) { r.Account.Source = "${claims.a}" }), nil, "not decided without a"},
		{"a field", newSpec(grants("true", video("${claims.a}"))), nil, "not decided without a"},
		{"an identity and a field", value(func(r *rules.RuleSpec) {
			r.Identity.Source, r.InsecureIdentity = "x_${claims.a}", true
			r.Grants = []rules.GrantSpec{video("${claims.b}")}
		}), nil, "not decided without a, b"},
		{"a value of an output that was lost", newSpec(everyone, grants("true", video("${claims.a}"))), nil, granted},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := input(test.claims)
			in.Request = map[string]string{"room": "x"}
			in.Known = &rules.Known{Claims: map[string]bool{"iss": true}}
			for name := range in.Claims {
				in.Known.Claims[name] = true
			}
			d, err := compile(t, test.spec).Decide(in, nil)
			got := outcome(d, err)
			if open := (*rules.Open)(nil); errors.As(err, &open) {
				got = open.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func demanding(s *rules.Spec, conditions ...string) *rules.Spec {
	for i, c := range conditions {
		s.Issuers[0].Require = append(s.Issuers[0].Require, rules.Text{Path: fmt.Sprintf("issuers[0].require[%d]", i), Source: c})
	}
	return s
}

// What the issuer and the rest of the token tell is known by other names.
func TestUnknownRegisteredClaims(t *testing.T) {
	pseudonymous := newSpec(with(grants("true", chat()), func(r *rules.RuleSpec) { r.Identity.Source = "${pseudonym(claims.sub)}" }))
	notBeyond := newSpec(grants("true", chat()))
	notBeyond.NotBeyondIDToken = true
	for _, test := range []struct {
		spec  *rules.Spec
		known []string
		want  string
	}{
		{pseudonymous, []string{"sub"}, "not decided without iss"},
		{pseudonymous, []string{"sub", "iss"}, ""},
		{notBeyond, []string{"sub"}, "not decided without exp"},
		{notBeyond, []string{"exp"}, "not decided without sub"},
		{notBeyond, nil, "not decided without exp, sub"},
		{notBeyond, []string{"sub", "exp"}, ""},
	} {
		in := input(nil)
		in.Known = &rules.Known{Claims: map[string]bool{}}
		for _, name := range test.known {
			in.Known.Claims[name] = true
		}
		got := ""
		if _, err := compile(t, test.spec).Decide(in, nil); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("knowing %v: got %q, want %q", test.known, got, test.want)
		}
	}
}

// TestCompareOpenIdentities compares decisions of which the identity is open:
// whether it is the same hangs on how both compute it.
func TestCompareOpenIdentities(t *testing.T) {
	spec := func(identity string, change func(*rules.Spec)) *rules.Spec {
		s := newSpec(with(grants("true", chat()), func(r *rules.RuleSpec) {
			r.Identity.Source, r.InsecureIdentity = identity, true
		}))
		change(s)
		return s
	}
	longer := func(s *rules.Spec) { s.Rules[0].TTL = 4 * time.Hour }
	nothing := func(*rules.Spec) {}
	typed := func(s *rules.Spec) {
		s.Issuers[0].Claims = append(s.Issuers[0].Claims, rules.ClaimSpec{Path: "issuers[0].claims.n", Name: "n", Type: "int"})
	}
	otherKey := func(s *rules.Spec) {
		s.Pseudonym = func(issuer, s string) string { return rules.Pseudonym([]byte("another key"), issuer, s) }
	}
	for _, test := range []struct {
		name          string
		before, after *rules.Spec
		want          string
	}{
		{"alike", spec("u_${escape(claims.sub)}", nothing), spec("u_${escape( claims.sub )}", longer), `widens ttl: "1h0m0s" → "4h0m0s"`},
		{"another prefix", spec("u_${escape(claims.sub)}", nothing), spec("v_${escape(claims.sub)}", nothing), "not decided without sub"},
		{"another claim", spec("u_${escape(claims.sub)}", nothing), spec("u_${escape(claims.email)}", nothing), "not decided without email, sub"},
		{"another type", spec("u_${claims.n}", nothing), spec("u_${claims.n}", typed), "not decided without n"},
		{"another key that is not used", spec("u_${escape(claims.sub)}", nothing), spec("u_${escape(claims.sub)}", otherKey), ""},
		{"the same key", spec("${pseudonym(claims.sub)}", nothing), spec("${pseudonym(claims.sub)}", longer), `widens ttl: "1h0m0s" → "4h0m0s"`},
		{"another key", spec("${pseudonym(claims.sub)}", nothing), spec("${pseudonym(claims.sub)}", otherKey), "not decided without sub"},
		{"a parameter, with a default", spec("u_${claims.sub + request.room}", nothing), spec("u_${claims.sub + request.room}", nothing), "not decided without sub"},
		{"a claim whose name is computed", spec("u_${claims[claims.sub]}", nothing), spec("u_${claims[claims.sub]}", nothing), "not decided without sub"},
		{"a loop", spec("u_${claims.groups.filter(g, g != 'x')[0]}", nothing), spec("u_${claims.groups.filter(g, g != 'y')[0]}", nothing), "not decided without groups"},
		{"one is known", spec("u_${escape(claims.sub)}", nothing), spec("u", nothing), "not decided without sub"},
		{"the other is known", spec("u", nothing), spec("u_${escape(claims.sub)}", nothing), "not decided without sub"},
		{"refused after", spec("u_${escape(claims.sub)}", nothing), newSpec(grants("false", chat())),
			`narrows outcome: "granted" → "refused: no_rule"
narrows account: loses "main"
narrows ttl: loses "1h0m0s"
narrows chat: loses {"service_sid":"` + is + `"}`},
		{"refused before", newSpec(grants("false", chat())), spec("u_${claims.sub + request.room}", nothing),
			`widens outcome: "refused: no_rule" → "granted"
widens account: gains "main"
widens ttl: gains "1h0m0s"
widens chat: gains {"service_sid":"` + is + `"}`},
		{"a field is not known either", spec("u_${escape(claims.sub)}", nothing), newSpec(grants("true", video("${claims.team}"))), "not decided without sub, team"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := input(nil)
			in.Request = map[string]string{"room": "x"}
			in.Known = &rules.Known{Claims: map[string]bool{"iss": true}, Request: map[string]bool{"room": true}}
			var before, after rules.Outcome
			before.Decision, before.Err = compile(t, test.before).Decide(in, nil)
			after.Decision, after.Err = compile(t, test.after).Decide(in, nil)
			if got := compared(rules.Compare(before, after)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestUnknownIsNeverGuessed hides random claims of random people from random
// rules. Where that leaves the decision standing, it must be the decision with
// every value tried for what was hidden; and where it leaves two sets of rules
// comparable, the changes must be those of every value for which an identity
// that is not known is one that Twilio takes.
func TestUnknownIsNeverGuessed(t *testing.T) {
	g := &generator{rand.New(rand.NewPCG(3, 4))}
	decided, compare, open := 0, 0, 0
	for range 150 {
		one, two := compile(t, g.spec()), compile(t, g.spec())
		for range 20 {
			in := input(g.claims())
			in.Request = g.request()
			in.Known = g.known()
			var partial [2]rules.Outcome
			partial[0].Decision, partial[0].Err = one.Decide(in, nil)
			partial[1].Decision, partial[1].Err = two.Decide(in, nil)
			changes, err := rules.Compare(partial[0], partial[1])
			if err == nil {
				compare++
			}
			for range 8 {
				full := *in
				full.Known = nil
				full.Claims, full.Request = g.fill(in)
				var outcomes [2]rules.Outcome
				for i, set := range []*rules.Set{one, two} {
					o := &outcomes[i]
					o.Decision, o.Err = set.Decide(&full, nil)
					if isOpen(partial[i].Err) {
						open++
						continue
					}
					decided++
					want := fmt.Sprint(outcome(partial[i].Decision, partial[i].Err))
					if got := outcome(o.Decision, o.Err); got != want {
						t.Fatalf("with %v known of %v %v\ndecided %s\nbut      %s\nfor      %v %v", in.Known, in.Claims, in.Request, want, got, full.Claims, full.Request)
					}
				}
				openBefore, openAfter := isOpen(partial[0].Err), isOpen(partial[1].Err)
				if err != nil || openBefore && outcomes[0].Err != nil || openAfter && outcomes[1].Err != nil {
					continue
				}
				really, fault := rules.Compare(outcomes[0], outcomes[1])
				if openBefore != openAfter { // then an identity is gained or lost, which nobody knows
					really = slices.DeleteFunc(really, func(c rules.Change) bool { return c.What == "identity" })
				}
				if diff := cmp.Diff(changes, really); diff != "" || fault != nil {
					t.Fatalf("with %v known of %v %v, for %v %v: %v\n%s", in.Known, in.Claims, in.Request, full.Claims, full.Request, fault, diff)
				}
			}
		}
	}
	t.Logf("of the decisions %d stand and %d are open, and %d pairs are comparable", decided, open, compare)
	if decided < 5_000 || open < 5_000 || compare < 300 {
		t.Errorf("of the decisions %d stand and %d are open, and %d pairs are comparable: too few of something", decided, open, compare)
	}
}

func isOpen(err error) bool {
	var open *rules.Open
	return errors.As(err, &open)
}

// A generator makes rules, and people they are about.
type generator struct{ *rand.Rand }

var generatedClaims = []string{"groups", "team", "level", "org", "vip", "sub"}

func (g *generator) pick(texts ...string) string { return texts[g.IntN(len(texts))] }
func (g *generator) letter() string              { return g.pick("a", "b", "c") }

func (g *generator) condition() string {
	name := g.pick(generatedClaims...)
	atom := g.pick(
		"claims."+name+" == '"+g.letter()+"'",
		"claims['"+name+"'] != '"+g.letter()+"'",
		"has(claims."+name+")",
		"'"+name+"' in claims",
		"claims.?"+name+".hasValue()",
		"'"+g.letter()+"' in claims.?groups.orValue([])",
		"'"+g.letter()+"' in claims.groups",
		"claims.groups.exists(x, x == '"+g.letter()+"')",
		"claims.groups.all(x, x != '"+g.letter()+"')",
		"claims.?team.orValue('a') in ['a', 'b']",
		"claims.level > 1",
		"claims.?level.orValue(2) == 2",
		"claims.vip",
		"request.room == '"+g.letter()+"'",
		"request.?room.orValue('a') == '"+g.letter()+"'",
		"has(request.room)",
		"(claims.?vip.orValue(false) ? claims.team : claims.org) == '"+g.letter()+"'",
		"pseudonym(claims.team) != ''",
		"true", "true", "true", "false")
	if strings.HasPrefix(atom, "claims.level ==") || strings.HasPrefix(atom, "claims.vip ==") || strings.HasPrefix(atom, "claims.groups ==") {
		return g.condition() // does not compile
	}
	switch g.IntN(6) {
	case 0:
		return "!(" + atom + ")"
	case 1:
		return atom + " && " + g.condition()
	case 2:
		return "(" + atom + " || " + g.condition() + ")"
	}
	return atom
}

func (g *generator) spec() *rules.Spec {
	var all []rules.RuleSpec
	for range 1 + g.IntN(5) {
		r := grants(g.condition(), chat())
		if g.IntN(2) == 0 {
			r.Grants = append(r.Grants, video(g.pick("a", "b", "${claims.team}", "${claims.?org.orValue('a')}", "${request.room}")))
		}
		switch g.IntN(8) {
		case 0, 1:
			r.Deny, r.Grants = "no", nil
		case 2:
			r.TTL, r.Grants = time.Minute, nil
		case 3:
			r.Identity.Source = g.pick("x_${claims.team}", "x_${escape(claims.sub)}", "${pseudonym(claims.sub)}")
			r.InsecureIdentity = true
		case 4:
			r.Account.Source = g.pick("main", "second", "${claims.?team.orValue('') == 'a' ? 'main' : 'second'}")
		}
		all = append(all, r)
	}
	s := newSpec(all...)
	s.Issuers[0].InsecureIdentity = true
	if g.IntN(4) == 0 {
		demanding(s, g.condition())
	}
	return s
}

func (g *generator) value() any {
	switch g.IntN(10) {
	case 0:
		return nil
	case 1:
		return int64(g.IntN(4))
	case 2:
		return g.IntN(2) == 0
	case 3:
		return []any{g.letter(), g.letter()}
	case 4:
		return map[string]any{g.letter(): true}
	case 5:
		return rules.Unrepresentable{}
	}
	return g.letter()
}

func (g *generator) claims() rules.Claims {
	claims := rules.Claims{"exp": now.Add(time.Hour).Unix()}
	for _, name := range generatedClaims {
		if g.IntN(4) > 0 {
			claims[name] = g.value()
		}
	}
	claims["groups"] = []any{g.letter(), g.letter()}
	return claims
}

func (g *generator) request() map[string]string {
	if g.IntN(3) == 0 {
		return nil
	}
	return map[string]string{"room": g.letter()}
}

func (g *generator) known() *rules.Known {
	k := &rules.Known{Claims: map[string]bool{"iss": true, "exp": true}, Request: map[string]bool{"room": g.IntN(4) > 0}}
	for _, name := range generatedClaims {
		k.Claims[name] = g.IntN(3) > 0
	}
	return k
}

// fill returns claims and parameters with other values for what is not known.
func (g *generator) fill(in *rules.Input) (rules.Claims, map[string]string) {
	claims, request := maps.Clone(in.Claims), in.Request
	others := g.claims()
	for _, name := range slices.Sorted(maps.Keys(in.Known.Claims)) {
		if !in.Known.Claims[name] {
			delete(claims, name)
			if value, ok := others[name]; ok {
				claims[name] = value
			}
		}
	}
	if !in.Known.Request["room"] {
		request = g.request()
	}
	return claims, request
}
