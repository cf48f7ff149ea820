package rules_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// traceText writes a trace down, a line for each step, conjunct and value.
func traceText(trace *rules.Trace) string {
	var b strings.Builder
	step := func(s rules.Step) {
		fmt.Fprintf(&b, "%s%s %s", s.Path, map[bool]string{true: " (deny)"}[s.Deny], verdictText(s.Verdict, s.Why))
		for _, output := range s.Wins {
			fmt.Fprintf(&b, "; wins %s", output)
		}
		for _, lost := range s.Loses {
			fmt.Fprintf(&b, "; loses %s to %s", lost.Output, lost.To)
		}
		b.WriteByte('\n')
		b.WriteString(conjunctsText(s.Conjuncts))
	}
	for _, s := range trace.Require {
		step(s)
	}
	for _, s := range trace.Rules {
		step(s)
	}
	if trace.Computed != nil {
		fmt.Fprintf(&b, "computed %s\n", strings.Join(trace.Computed, " "))
	}
	return b.String()
}

func conjunctsText(conjuncts []rules.Conjunct) string {
	var b strings.Builder
	for _, c := range conjuncts {
		fmt.Fprintf(&b, "  %s — %s", c.Text, verdictText(c.Verdict, c.Why))
		for i, r := range c.Reads {
			fmt.Fprintf(&b, "%s%s %s", map[bool]string{true: "; reads ", false: ", "}[i == 0], r.Kind, r.Name)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func verdictText(v rules.Verdict, why string) string {
	if why == "" {
		return string(v)
	}
	return string(v) + " (" + why + ")"
}

func TestTrace(t *testing.T) {
	spec := newSpec(
		with(when("claims.blocked"), func(r *rules.RuleSpec) { r.Deny = "account blocked" }),
		grants("'x' in claims.groups && claims.level > 2", video("x")),
		with(grants("claims.vip", video("vip"), chat()), func(r *rules.RuleSpec) { r.TTL = time.Minute }),
		with(grants("true", video("a")), func(r *rules.RuleSpec) { r.Identity.Source, r.Account.Source = "id", "main" }),
		with(grants("claims.vip && request.platform == 'ios'", chat()), func(r *rules.RuleSpec) { r.Expires = now }),
	)
	requiring("claims.sub != ''")(spec)
	set := compile(t, spec)
	for _, test := range []struct {
		name   string
		claims rules.Claims
		want   string
	}{
		{"granted", rules.Claims{"blocked": false, "vip": true, "level": int64(2)}, `
issuers[0].require[0] matched
  claims.sub != '' — matched; reads claim sub
rules[0] (deny) not matched
  claims.blocked — not matched; reads claim blocked
rules[1] not matched
  'x' in claims.groups — undecided (claim "groups" is absent); reads claim groups
  claims.level > 2 — not matched; reads claim level
rules[2] matched; wins video; wins chat
  claims.vip — matched; reads claim vip
rules[3] matched; wins identity; wins account; loses video to r2
  true — matched
rules[4] expired
  claims.vip — matched; reads claim vip
  request.platform == 'ios' — undecided (parameter "platform" is absent); reads parameter platform
computed rules[3].account rules[3].identity rules[2].grants.video.room rules[2].grants.video rules[2].grants.chat.service_sid rules[2].grants.chat
`},
		{"denied", rules.Claims{"blocked": true}, `
issuers[0].require[0] matched
  claims.sub != '' — matched; reads claim sub
rules[0] (deny) matched (account blocked)
  claims.blocked — matched; reads claim blocked
rules[1] not reached
rules[2] not reached
rules[3] not reached
rules[4] not reached
`},
		{"a deny that cannot be decided", rules.Claims{"blocked": "perhaps"}, `
issuers[0].require[0] matched
  claims.sub != '' — matched; reads claim sub
rules[0] (deny) undecided (the result is not a bool)
  claims.blocked — undecided (the result is not a bool); reads claim blocked
rules[1] not reached
rules[2] not reached
rules[3] not reached
rules[4] not reached
`},
		{"a requirement", rules.Claims{"sub": ""}, `
issuers[0].require[0] not matched
  claims.sub != '' — not matched; reads claim sub
rules[0] (deny) not reached
rules[1] not reached
rules[2] not reached
rules[3] not reached
rules[4] not reached
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var trace rules.Trace
			_, _ = set.Decide(input(test.claims), &trace)
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), traceText(&trace)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestComputed holds which values a trace lists: none behind one that refuses,
// and no field that was left out.
func TestComputed(t *testing.T) {
	voice := grant(rules.KindVoice, "outgoing_application_sid", ap, "push_credential_sid", "${claims.?push}",
		"outgoing_params", []rules.FieldSpec{{Name: "team", Value: "${claims.team}"}, {Name: "fixed", Value: int64(1)}})
	set := compile(t, newSpec(grants("true", voice, video("${claims.room}"))))
	for _, test := range []struct {
		name   string
		claims rules.Claims
		want   string
	}{
		{"all", rules.Claims{"push": cr, "team": "a", "room": "r"}, "the identity of issuer idp, voice.outgoing_application_sid, voice.push_credential_sid, voice.outgoing_params.team, voice.outgoing_params.fixed, voice, video.room, video"},
		{"without an optional one", rules.Claims{"team": "a", "room": "r"}, "the identity of issuer idp, voice.outgoing_application_sid, voice.outgoing_params.team, voice.outgoing_params.fixed, voice, video.room, video"},
		{"one that refuses", rules.Claims{"team": "a"}, "the identity of issuer idp, voice.outgoing_application_sid, voice.outgoing_params.team, voice.outgoing_params.fixed, voice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var trace rules.Trace
			_, _ = set.Decide(input(test.claims), &trace)
			if got := strings.ReplaceAll(strings.Join(trace.Computed, ", "), "rules[0].grants.", ""); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestConjuncts(t *testing.T) {
	claims := rules.Claims{
		"role": "tell-nobody", "level": "high", "groups": []any{"a", "b"}, "list": []any{}, "object": m{"x": m{"y": "z"}}, "vip": true,
		"nothing": nil, "huge": rules.Unrepresentable{}, "é": "ü",
	}
	for _, test := range []struct {
		name, when string
		want       string
	}{
		{"one", "claims.vip", "claims.vip — matched; reads claim vip"},
		{"blanks at the ends", "\n  claims.vip\t\n", "claims.vip — matched; reads claim vip"},
		{"three", "claims.vip && claims.sub == 'u1' && 'c' in claims.groups", `
claims.vip — matched; reads claim vip
claims.sub == 'u1' — matched; reads claim sub
'c' in claims.groups — not matched; reads claim groups`},
		{"every one is evaluated", "false && claims.absent == 'x' && claims.vip", `
false — not matched
claims.absent == 'x' — undecided (claim "absent" is absent); reads claim absent
claims.vip — matched; reads claim vip`},
		{"each has its own reason", "claims.a == 'x' && claims.nothing == 'x' && claims.level > 1 && request.room == 'x' && claims.role", `
claims.a == 'x' — undecided (claim "a" is absent); reads claim a
claims.nothing == 'x' — undecided (claim "nothing" is absent); reads claim nothing
claims.level > 1 — undecided (claim "level" is not of type int); reads claim level
request.room == 'x' — undecided (parameter "room" is absent); reads parameter room
claims.role — undecided (the result is not a bool); reads claim role`},
		{"the same claim twice", "claims.level > 1 && claims.level < 9", `
claims.level > 1 — undecided (claim "level" is not of type int); reads claim level
claims.level < 9 — undecided (claim "level" is not of type int); reads claim level`},
		{"a claim beyond numbers", "claims.huge == 1 && has(claims.huge)", `
claims.huge == 1 — undecided (claim "huge" is not of type dyn); reads claim huge
has(claims.huge) — undecided (claim "huge" is not of type dyn); reads claim huge`},
		{"parentheses around several", "((claims.vip && (claims.sub == 'u1')) && (claims.a == 1 || claims.vip))", `
claims.vip — matched; reads claim vip
(claims.sub == 'u1') — matched; reads claim sub
(claims.a == 1 || claims.vip) — matched; reads claim a, claim vip`},
		{"parentheses around all of one", "(claims.vip || claims.a == 1)", "(claims.vip || claims.a == 1) — matched; reads claim vip, claim a"},
		{"&& that are no conjuncts", "!(claims.vip && claims.a == 1) && (true ? claims.vip && false : false) && claims.groups.all(g, g != '' && g != 'b')", `
!(claims.vip && claims.a == 1) — undecided (claim "a" is absent); reads claim vip, claim a
(true ? claims.vip && false : false) — not matched; reads claim vip
claims.groups.all(g, g != '' && g != 'b') — not matched; reads claim groups`},
		{"&& and parentheses in strings", `claims.sub != 'a && (' && claims.sub != r"\" && claims.sub != """)""" && claims.vip`, `
claims.sub != 'a && (' — matched; reads claim sub
claims.sub != r"\" — matched; reads claim sub
claims.sub != """)""" — matched; reads claim sub
claims.vip — matched; reads claim vip`},
		{"lines and comments", "claims.vip // a person && (\n  && claims.sub ==\n     'u  1' // last", `
claims.vip — matched; reads claim vip
claims.sub == 'u  1' — not matched; reads claim sub`},
		{"behind other alphabets", "claims['é'] == 'ü' && claims['é'] != '😀' && claims.vip", `
claims['é'] == 'ü' — matched; reads claim é
claims['é'] != '😀' — matched; reads claim é
claims.vip — matched; reads claim vip`},
		{"nested claims", "claims.object.x.y == 'z' && claims.object.missing == 'x' && claims.?object.missing.orValue('a') == 'a' && claims.list[5] == 'x'", `
claims.object.x.y == 'z' — matched; reads claim object
claims.object.missing == 'x' — undecided (an expression in it has no value for these claims); reads claim object
claims.?object.missing.orValue('a') == 'a' — matched; reads claim object
claims.list[5] == 'x' — undecided (an expression in it has no value for these claims); reads claim list`},
		{"computed names", "claims[claims.role] == 'x' && request[claims.role] == 'x' && claims[?claims.role].orValue('') == ''", `
claims[claims.role] == 'x' — undecided (a claim whose name is computed cannot be read); reads claim role
request[claims.role] == 'x' — undecided (a parameter whose name is computed cannot be read); reads claim role
claims[?claims.role].orValue('') == '' — matched; reads claim role`},
		{"in a loop", "claims.groups.exists(g, g == claims.absent) && claims.groups.all(g, g == 'a' || g == claims.role)", `
claims.groups.exists(g, g == claims.absent) — undecided (claim "absent" is absent); reads claim groups, claim absent
claims.groups.all(g, g == 'a' || g == claims.role) — not matched; reads claim groups, claim role`},
		{"absence that is allowed", "!has(claims.absent) && 'absent' in claims && claims.?absent.orValue('') == ''", `
!has(claims.absent) — matched; reads claim absent
'absent' in claims — not matched; reads claim absent
claims.?absent.orValue('') == '' — matched; reads claim absent`},
		{"other variables", "issuer == 'idp' && client == 'app' && now > timestamp('2020-01-01T00:00:00Z') && pseudonym(claims.sub) != ''", `
issuer == 'idp' — matched
client == 'app' — matched
now > timestamp('2020-01-01T00:00:00Z') — matched
pseudonym(claims.sub) != '' — matched; reads claim sub`},
		{"conversions", "int(claims.role) == 1 && timestamp(claims.role) < now", `
int(claims.role) == 1 — undecided (an expression in it has no value for these claims); reads claim role
timestamp(claims.role) < now — undecided (an expression in it has no value for these claims); reads claim role`},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := compile(t, newSpec(with(when(test.when), func(r *rules.RuleSpec) { r.Deny = "x" }), grants("true", chat())))
			var trace rules.Trace
			_, _ = set.Decide(input(claims), &trace)
			want := "  " + strings.ReplaceAll(strings.TrimPrefix(test.want, "\n"), "\n", "\n  ") + "\n"
			if diff := cmp.Diff(want, conjunctsText(trace.Rules[0].Conjuncts)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTraceCost holds that a trace, which evaluates all of a condition, stops
// somewhere, and that the verdict is the decision's all the same.
func TestTraceCost(t *testing.T) {
	long := make([]any, 1000)
	for i := range long {
		long[i] = "a"
	}
	set := compile(t, newSpec(grants("claims.vip || claims.groups.all(a, claims.groups.all(b, a == b))", chat())))
	var trace rules.Trace
	_, err := set.Decide(input(rules.Claims{"vip": true, "groups": long}), &trace)
	want := `rules[0] matched; wins chat
  claims.vip || claims.groups.all(a, claims.groups.all(b, a == b)) — undecided (to evaluate all of the condition costs too much); reads claim vip, claim groups
computed the identity of issuer idp rules[0].grants.chat.service_sid rules[0].grants.chat
`
	if diff := cmp.Diff(want, traceText(&trace)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestConjunctsAgreeWithTheVerdict traces random conditions for random people:
// what the conjuncts come to, one by one, must be what the condition comes to
// where it decides, and their texts those the condition was put together from.
func TestConjunctsAgreeWithTheVerdict(t *testing.T) {
	r := chooser{rand.New(rand.NewPCG(3, 4))}
	seen := map[rules.Verdict]int{}
	for range 600 {
		var texts []string
		for range 1 + r.IntN(5) {
			texts = append(texts, r.pick(r.conjunct(), r.conjunct(), "!("+r.conjunct()+" && "+r.conjunct()+")", "("+r.conjunct()+" ? "+r.conjunct()+" : claims.org)"))
		}
		condition := texts[0]
		for i, text := range texts[1:] {
			blank := r.pick(" ", "\n  ", " // && (\n")
			if condition += blank + "&&" + blank + text; i%2 == 0 && r.IntN(2) == 0 {
				condition = "(" + condition + ")"
			}
		}
		set := compile(t, newSpec(with(when(condition), func(r *rules.RuleSpec) { r.Deny = "x" }), grants("true", chat())))
		for range 10 {
			claims := r.claims()
			var trace rules.Trace
			_, _ = set.Decide(input(claims), &trace)
			step := trace.Rules[0]
			verdict := rules.Matched
			var got []string
			for _, c := range step.Conjuncts {
				got = append(got, c.Text)
				if c.Verdict == rules.NotMatched || c.Verdict == rules.Undecided && verdict == rules.Matched {
					verdict = c.Verdict
				}
			}
			if step.Verdict != verdict || !cmp.Equal(texts, got) {
				t.Fatalf("condition %s\nclaims %v\ncame to %s, and its conjuncts to %s:\n%s", condition, claims, verdictText(step.Verdict, step.Why), verdict, conjunctsText(step.Conjuncts))
			}
			seen[verdict]++
		}
	}
	for _, v := range []rules.Verdict{rules.Matched, rules.NotMatched, rules.Undecided} {
		if seen[v] < 200 {
			t.Errorf("only %d conditions came to %q: %v", seen[v], v, seen)
		}
	}
}

// TestTraceHoldsNoValues marks every value of a person, the names inside nested
// claims included, and looks for the mark in a trace as JSON.
func TestTraceHoldsNoValues(t *testing.T) {
	const mark = "5ecret"
	conditions := []string{
		"claims.role == 'x' && claims.level > 1 && claims.groups.exists(g, g == 'x')", "claims.role", "int(claims.role) == 1", "claims.object.missing == 'x'",
		"claims[claims.role] == 'x'", "claims.object[claims.role] == 'x'", "request[claims.role] == 'x'", "request.room == 'x' && timestamp(claims.role) < now",
		"claims.role.matches('x') && claims.list[7] == 'x' && duration(claims.role) > duration('1s')", "claims.role < 3",
	}
	var specs []rules.RuleSpec
	for _, c := range conditions {
		specs = append(specs, grants(c, video("${claims.role}")))
	}
	specs = append(specs, with(grants("true", video("${claims.role}")), func(r *rules.RuleSpec) { r.Identity.Source = "${claims.role}" }))
	in := input(rules.Claims{"sub": mark, "role": mark, "level": mark, "groups": []any{mark}, "object": m{mark: mark}, "list": []any{mark}})
	in.Request = map[string]string{"room": mark}
	var trace rules.Trace
	if _, err := compile(t, newSpec(specs...)).Decide(in, &trace); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), mark) || !strings.Contains(string(text), `"reads":[{"kind":"claim","name":"role"}]`) {
		t.Errorf("got %s", text)
	}
}

// TestUnknownConjuncts holds that what is not known is told apart from what is
// absent, and that a trace reads nothing into the decision.
func TestUnknownConjuncts(t *testing.T) {
	set := compile(t, newSpec(grants("claims.vip || claims.team == 'a'", chat()), grants("claims.vip && claims.team == 'a' && claims.org == 'b' && request.room == 'c'", video("a"))))
	in := input(rules.Claims{"vip": true})
	in.Known = &rules.Known{Claims: map[string]bool{"vip": true, "org": true, "sub": true}, Request: map[string]bool{"room": true}}
	var trace rules.Trace
	_, err := set.Decide(in, &trace)
	_, plain := set.Decide(in, nil)
	want := `rules[0] matched; wins chat
  claims.vip || claims.team == 'a' — matched; reads claim vip, claim team
rules[1] unknown
  claims.vip — matched; reads claim vip
  claims.team == 'a' — unknown (claim "team" is not known); reads claim team
  claims.org == 'b' — undecided (claim "org" is absent); reads claim org
  request.room == 'c' — undecided (parameter "room" is absent); reads parameter room
`
	if diff := cmp.Diff(want, traceText(&trace)); diff != "" || fmt.Sprint(err) != fmt.Sprint(plain) {
		t.Errorf("%v\n%v\n%s", err, plain, diff)
	}
}

func TestClosest(t *testing.T) {
	expired := func(r *rules.RuleSpec) { r.Expires = now }
	denying := func(r *rules.RuleSpec) { r.Deny = "x" }
	identityOnly := func(r *rules.RuleSpec) { r.Identity.Source = "id" }
	for _, test := range []struct {
		name  string
		rules []rules.RuleSpec
		want  string // path
	}{
		{"one matched", []rules.RuleSpec{grants("false", chat()), grants("true", chat())}, ""},
		{"the fewest conjuncts that miss", []rules.RuleSpec{grants("false && false", chat()), grants("true && false && false", chat()), grants("true && false", chat())}, "rules[2]"},
		{"undecided ones miss", []rules.RuleSpec{grants("claims.a == 1 && claims.b == 1", chat()), grants("true && claims.a == 1", chat())}, "rules[1]"},
		{"then the most that hold", []rules.RuleSpec{grants("false", chat()), grants("true && false", chat()), grants("false && true", chat())}, "rules[1]"},
		{"expired counts as one", []rules.RuleSpec{with(grants("true", chat()), expired), grants("false && false", chat())}, "rules[0]"},
		{"and not as none", []rules.RuleSpec{with(grants("true", chat()), expired), grants("true && false", chat())}, "rules[1]"},
		{"a rule that grants nothing", []rules.RuleSpec{with(when("true"), identityOnly), with(when("false"), denying), grants("false && false", chat())}, "rules[2]"},
		{"none was reached", []rules.RuleSpec{with(when("true"), denying), grants("false", chat())}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var trace rules.Trace
			_, _ = compile(t, newSpec(test.rules...)).Decide(input(nil), &trace)
			got := ""
			if closest := trace.Closest(); closest != nil {
				got = closest.Path
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestConcurrentTraces is for the race detector: the program of a trace is made
// by whoever asks first.
func TestConcurrentTraces(t *testing.T) {
	set := compile(t, newSpec(grants("claims.level > 1 && 'x' in claims.groups", chat()), grants("true", video("a"))))
	var group sync.WaitGroup
	texts := make([]string, 8)
	for i := range texts {
		group.Go(func() {
			var trace rules.Trace
			_, _ = set.Decide(input(rules.Claims{"level": "high"}), &trace)
			texts[i] = traceText(&trace)
		})
	}
	group.Wait()
	for _, text := range texts {
		if diff := cmp.Diff(texts[0], text); diff != "" {
			t.Error(diff)
		}
	}
}

// FuzzConjuncts holds of any condition that its conjuncts come to what it comes
// to, and that the text of each, compiled alone, comes to what it came to.
func FuzzConjuncts(f *testing.F) {
	for _, seed := range []string{
		"claims.vip && claims.groups.exists(g, g == 'a')", "((claims.level > 1 && (true)) && // && (\n claims['a'] == ')')", "!(claims.vip && false) && r'\\' != \"\"\"&&\"\"\"",
		"claims.?a.b.orValue(1) == 1 && 'é' in claims && (claims.vip ? true && false : claims.a)", "[1, 2].all(x, x > 0 && x < 3) && b'a' != b'&&' && {'a': true}['a']",
	} {
		f.Add(seed)
	}
	in := input(rules.Claims{"vip": true, "level": "high", "groups": []any{"a"}, "a": m{"b": int64(1)}})
	trace := func(condition string) (step rules.Step, ok bool) {
		set, _ := rules.Compile(newSpec(with(when(condition), func(r *rules.RuleSpec) { r.Deny = "x" }), grants("true", chat())))
		if set == nil {
			return step, false
		}
		var trace rules.Trace
		_, _ = set.Decide(in, &trace)
		return trace.Rules[0], true
	}
	f.Fuzz(func(t *testing.T, condition string) {
		step, ok := trace(condition)
		if !ok {
			return
		}
		verdict := rules.Matched
		for _, c := range step.Conjuncts {
			if strings.Contains(c.Why, "costs too much") {
				return
			}
			if c.Verdict == rules.NotMatched || c.Verdict == rules.Undecided && verdict == rules.Matched {
				verdict = c.Verdict
			}
			alone, ok := trace(c.Text)
			if !ok || alone.Verdict != c.Verdict {
				t.Errorf("%q: its conjunct %q came to %s, and alone to %s", condition, c.Text, c.Verdict, alone.Verdict)
			}
		}
		if verdict != step.Verdict {
			t.Errorf("%q came to %s, and its conjuncts to %s", condition, step.Verdict, verdict)
		}
	})
}
