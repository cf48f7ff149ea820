package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// faultLines writes faults as check does, with what each points at in source.
func faultLines(source string, faults []rules.Fault) string {
	var b strings.Builder
	for _, f := range faults {
		at := ""
		if f.Length > 0 {
			at = fmt.Sprintf(" %d:%s", f.Offset, source[f.Offset:f.Offset+f.Length])
		}
		level := ""
		if f.Warning {
			level = "warning: "
		}
		fmt.Fprintf(&b, "%s%s: %s%s [%s]", f.Path, at, level, f.Message, f.ID)
		if f.Hint != "" {
			fmt.Fprintf(&b, " (%s)", f.Hint)
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestConditionFaults(t *testing.T) {
	operators := "write && for and, || for or, ! for not"
	deep := "loops such as exists and all stand in each other more than 2 deep [type] (make several rules of it, or have the provider put what is asked for into a claim of its own)"
	members := "write claims.x, claims['x'] or 'x' in claims"
	for _, test := range []struct{ when, want string }{
		{"", `: the condition is empty [empty-condition] (write "true" to mean everybody)`},
		{" \n", `: the condition is empty [empty-condition] (write "true" to mean everybody)`},
		{"claims.sub", ": a condition is a bool, and this is a string [not-a-condition]"},
		{"claims.level", ": a condition is a bool, and this is an int [not-a-condition]"},
		{"claims.groups", ": a condition is a bool, and this is a list(string) [not-a-condition]"},
		// Names.
		{"claim.hd == 'a'", ` 0:claim: unknown name "claim" [unknown-name] (did you mean claims?)`},
		{"foo.bar", ` 0:foo: unknown name "foo" [unknown-name]`},
		{"true && .foo", ` 8:.foo: unknown name ".foo" [unknown-name]`},
		{"request.rom == 'a'", ` 8:rom: no parameter is named "rom" [unknown-parameter] (did you mean room?)`},
		{"request['rom'] == 'a'", ` 9:rom: no parameter is named "rom" [unknown-parameter] (did you mean room?)`},
		{"!('rom' in request)", ` 3:rom: no parameter is named "rom" [unknown-parameter] (did you mean room?)`},
		{"request.?tenant.hasValue()", ` 9:tenant: no parameter is named "tenant" [unknown-parameter] (declare it under parameters)`},
		{"claims.email.endswith('x')", ` 13:endswith: unknown function "endswith" [unknown-name] (did you mean endsWith?)`},
		{"pseudonim(claims.sub) == 'a'", ` 0:pseudonim: unknown function "pseudonim" [unknown-name] (did you mean pseudonym?)`},
		{"claims.groups.exists(g)", " 14:exists: exists takes other arguments [unknown-name]\n" + `rules[0].when 21:g: unknown name "g" [unknown-name]`},
		// Types.
		{"claims.email_verified == 'true'", " 22:== 'true': no matching overload for 'bool == string' [type-mismatch] (email_verified is a bool; write claims.email_verified)"},
		{"claims.email_verified == 'false'", " 22:== 'false': no matching overload for 'bool == string' [type-mismatch] (email_verified is a bool; write !claims.email_verified)"},
		{"claims.level < 'a' || claims.vip == 3", " 13:< 'a': no matching overload for 'int < string' [type-mismatch]\nrules[0].when 33:== 3: no matching overload for 'bool == int' [type-mismatch]"},
		{"claims.groups[0] == 1", " 17:== 1: no matching overload for 'string == int' [type-mismatch]"},
		{"{'a': 1} == 'x'", " 9:== 'x': no matching overload for 'map(string, int) == string' [type-mismatch]"},
		{"!claims.sub", " 0:!claims.sub: no matching overload for '!string' [type-mismatch]"},
		{"claims.sub ? true : false", " 11:? true : false: no matching overload for 'string ? bool : bool' [type-mismatch]"},
		{"claims.sub.size(1) == 1", " 15:(1): no matching overload for 'string.size(int)' [type-mismatch]"},
		{"claims.level['a'] == 1", " 12:['a']: no matching overload for 'int[string]' [type-mismatch]"},
		{"pseudonym(1) == 'a'", " 9:(1): no matching overload for 'pseudonym(int)' [type-mismatch]"},
		{"escape(claims.level) == ''", " 6:(claims.level): no matching overload for 'escape(int)' [type-mismatch]"},
		{"claims.vip in ['true']", " 11:in ['true']: no matching overload for 'bool in list(string)' [type-mismatch]"},
		// Offsets are bytes, across lines and beyond ASCII.
		{"'é' != 'ü' &&\n  claims.sub == 'ß' && claims.vip == 'é'", " 51:== 'é': no matching overload for 'bool == string' [type-mismatch]"},
		// Syntax.
		{"claims.a = 'x'", " 9:=: = compares nothing [syntax] (write == to compare)"},
		{"claims.a == ‘x’", " 12:‘: curly quotes are not quotes here [syntax] (write ' or \")"},
		{"claims.a == 'it’s' and true", ` 21:and: "and" is not an operator [syntax] (` + operators + ")"},
		{"claims.a or claims.b", ` 9:or: "or" is not an operator [syntax] (` + operators + ")"},
		{"not claims.a", ` 4:claims: "not" is not an operator [syntax] (` + operators + ")"},
		{"claims.a contains 'x'", " 9:contains: contains is written behind a dot [syntax] (write x.contains(y); to search a list, y in x)"},
		{"claims.a == 'x", " 12:'x: the string is not closed [syntax]"},
		{"claims.a 'x'", ` 9:'x': "'x'" is not expected here [syntax]`},
		{"claims.a == 'a=b' &&", ": the expression ends too early [syntax]"},
		{"claims.a)", ` 8:): ")" is not expected here [syntax]`},
		{"'é' == claims.a # x", ` 17:#: "#" has no meaning here [syntax] (comments begin with // here)`},
		{"'é' == claims.a @ x", ` 17:@: "@" has no meaning here [syntax]`},
		{"has(claims)", " 4:claims: has takes a claim by a dot [syntax] (write has(claims.x), or 'x' in claims)"},
		{strings.Repeat("!", 4096) + "true", " 0:!: the expression is longer than 4096 characters [syntax] (write claims.x in ['a', 'b', …], or make several rules of it)"},
		{strings.Repeat("(", 99) + "true" + strings.Repeat(")", 99), " 0:(: brackets, lists and operators stand in each other more than 64 deep [syntax] (make several rules of it)"},
		// What cannot be evaluated is found before it is.
		{"claims.email.matches('(')", " 21:'(': this is not a pattern: missing closing ): `(` [type] (patterns are written as in RE2, without look-around)"},
		{"timestamp('x') < now", " 10:'x': this is not a time [type] (write timestamp('2026-01-31T12:00:00Z'))"},
		{"duration('x') < duration('1s')", " 9:'x': this is not a duration [type] (write duration('90m'), with h, m or s)"},
		{"claims.a.all(x, claims.a.all(y, claims.a.all(z, z == x)))", " 44:(z, z == x): " + deep},
		{"claims.a.all(w, claims.a.all(x, claims.a.all(y, claims.a.all(z, z == w))))", " 44:(y, claims.a.all(z, z == w)): " + deep},
		// Claims and request cannot be compared, searched or passed on: CEL
		// would find two of them unequal, and nothing in them.
		{"claims != claims", " 10:claims: claims is read by its members alone [whole-object] (" + members + ")"},
		{"dyn(claims).all(k, false)", " 4:claims: claims is read by its members alone [whole-object] (" + members + ")"},
		{"!(dyn(claims) in [1])", " 6:claims: claims is read by its members alone [whole-object] (" + members + ")"},
		{"[request] != []", " 1:request: request is read by its members alone [whole-object] (write request.x, request['x'] or 'x' in request)"},
	} {
		t.Run(test.when, func(t *testing.T) {
			set, faults := rules.CompileUnproven(newSpec(grants(test.when, video("a"))))
			if got, want := faultLines(test.when, faults), "rules[0].when"+test.want; got != want || set != nil {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestValueFaults(t *testing.T) {
	for _, test := range []struct{ identity, want string }{
		{"", ": the value is empty [empty-value]"},
		{"a$b", " 1:$: a lone $ [template-syntax] (write $$ for a dollar sign, or ${…} for an expression)"},
		{"é$", " 2:$: a lone $ [template-syntax] (write $$ for a dollar sign, or ${…} for an expression)"},
		{"a${claims.sub", " 1:${: ${ is not closed [template-syntax] (close the expression with })"},
		{"${'}", " 0:${: ${ is not closed [template-syntax] (close the expression with })"},
		{"${{'a': 1}", " 0:${: ${ is not closed [template-syntax] (close the expression with })"},
		{"${}", ": the expression ends too early [syntax]"},
		{"a${claims.vip}", " 3:claims.vip: this is a bool, and text takes strings and ints [type-mismatch]"},
		{"${claims.vip}", " 2:claims.vip: this is a bool, and text takes strings and ints [type-mismatch]"},
		{"a${claims.score}", " 3:claims.score: this is a double, and text takes strings and ints [type-mismatch]"},
		{"a${claims.groups}", " 3:claims.groups: this is a list(string), and text takes strings and ints [type-mismatch]"},
		{"a${claims.?sub}", " 3:claims.?sub: this is an optional(string), and text takes strings and ints [type-mismatch] (give it a value for when it is absent: .orValue('…'))"},
		{"é${claims.sub}${'ü' + claims.level}", " 22:+ claims.level: no matching overload for 'string + int' [type-mismatch]"},
		{"idp__{{claims.sub}}", `: nothing is computed in "{{claims.sub}}" [template-syntax] (write ${claims.sub})`},
		{"idp__${{ claims.sub }}", `: nothing is computed in "{{ claims.sub }}" [template-syntax] (write ${claims.sub})`},
		{"idp__{claims['sub']}", `: nothing is computed in "{claims['sub']}" [template-syntax] (write ${claims['sub']})`},
		{"{{visit}}_${claims.sub}", `: nothing is computed in "{{visit}}" [template-syntax] (write ${visit})`},
		{"claims.sub", `: this is plain text, the same for everybody [plain-expression] (write "${claims.sub}")`},
		{"'idp__' + escape(claims.sub)", `: this is plain text, the same for everybody [plain-expression] (write "${'idp__' + escape(claims.sub)}")`},
		{"é${claims.sub}${clams.x}", ` 17:clams: unknown name "clams" [unknown-name] (did you mean claims?)`},
	} {
		t.Run(test.identity, func(t *testing.T) {
			spec := newSpec(grants("true", video("a")))
			spec.Rules[0].Identity = rules.Text{Path: "rules[0].identity", Source: test.identity}
			set, faults := rules.CompileUnproven(spec)
			if got, want := faultLines(test.identity, faults), "rules[0].identity"+test.want; got != want || set != nil {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestGrantFaults(t *testing.T) {
	voice := func(pairs ...any) rules.GrantSpec { return grant(rules.KindVoice, pairs...) }
	inEurope := func(s *rules.Spec) { s.Rules[0].Account = rules.Text{Path: "rules[0].account", Source: "eu"} }
	for _, test := range []struct {
		name   string
		grant  rules.GrantSpec
		change func(*rules.Spec)
		want   string
	}{
		{name: "a SID of another kind", grant: voice("outgoing_application_sid", cr), want: `.voice.outgoing_application_sid: "` + cr + `" is not a SID: AP and 32 hex digits [invalid-value]`},
		{name: "a SID too long", grant: grant(rules.KindChat, "service_sid", is+"0"), want: `.chat.service_sid: "` + is + `0" is not a SID: IS and 32 hex digits [invalid-value]`},
		{name: "a SID with another letter", grant: grant(rules.KindTaskRouter, "workspace_sid", "WSg123456789abcdef0123456789abcdef"), want: `.task_router.workspace_sid: "WSg123456789abcdef0123456789abcdef" is not a SID: WS and 32 hex digits [invalid-value]`},
		{name: "sync with a SID of another kind", grant: grant(rules.KindSync, "service_sid", ap), want: `.sync.service_sid: "` + ap + `" is not a SID: IS and 32 hex digits [invalid-value]`},
		{name: "a long room is quoted in part", grant: video(strings.Repeat("é", 129)), want: `.video.room: "` + strings.Repeat("é", 39) + `…" is not a room's name: 1 to 128 characters, none of them control characters [invalid-value]`},
		{name: "an empty room", grant: video(""), want: ".video.room: the value is empty [empty-value]"},
		{name: "video without a room", grant: grant(rules.KindVideo), want: ".video: video needs room [missing-key] (any_room: true grants every room of the account, on purpose)"},
		{name: "any_room: false", grant: grant(rules.KindVideo, "any_room", false), want: ".video: video needs room [missing-key] (any_room: true grants every room of the account, on purpose)"},
		{name: "a room in other braces", grant: video("visit-{{request.room}}"), want: `.video.room: nothing is computed in "{{request.room}}" [template-syntax] (write ${request.room})`},
		{name: "a room outside braces", grant: video("request.room"), want: `.video.room: warning: this is plain text, the same for everybody [plain-expression] (write "${request.room}")`},
		{name: "a SID outside braces", grant: grant(rules.KindChat, "service_sid", "claims['service']"), want: `.chat.service_sid: "claims['service']" is not a SID: IS and 32 hex digits [invalid-value] (write "${claims['service']}")`},
		{name: "any_room", grant: grant(rules.KindVideo, "any_room", true), want: ".video.any_room: warning: the token opens every room of the account [any-room] (name a room)"},
		{name: "room and any_room", grant: grant(rules.KindVideo, "room", "a", "any_room", true), want: ".video: room and any_room contradict each other [room-and-any-room]"},
		{name: "video outside us1", grant: video("a"), change: inEurope, want: `.video: account "eu" is in ie1, and Video exists in us1 alone [video-region]`},
		{name: "chat without a service", grant: grant(rules.KindChat, "endpoint_id", "e"), want: ".chat: chat needs service_sid [missing-key]"},
		{name: "task_router without a workspace", grant: grant(rules.KindTaskRouter, "role", "worker"), want: ".task_router: task_router needs workspace_sid [missing-key]"},
		{name: "voice with nothing", grant: voice(), want: ".voice: voice neither makes nor takes calls [empty-grant] (give it outgoing_application_sid, or incoming_allow: true)"},
		{name: "voice that takes no calls", grant: voice("incoming_allow", false), want: ".voice: voice neither makes nor takes calls [empty-grant] (give it outgoing_application_sid, or incoming_allow: true)"},
		{name: "parameters without an application", grant: voice("incoming_allow", true, "outgoing_params", []rules.FieldSpec{}), want: ".voice.outgoing_params: outgoing_params go with outgoing_application_sid, and there is none [params-without-application]"},
		{name: "incoming_allow as text", grant: voice("incoming_allow", "true"), want: ".voice.incoming_allow: incoming_allow is true or false [wrong-type] (leave out the quotes)"},
		{name: "incoming_allow by a string", grant: voice("incoming_allow", "${claims.sub}"), want: ".voice.incoming_allow: this is a string, and a bool is wanted [type-mismatch]"},
		{name: "pseudonym without a key", grant: video("${pseudonym(claims.sub)}"), change: func(s *rules.Spec) { s.Pseudonym = nil }, want: ".video.room: pseudonym() needs identity_key [no-identity-key] (add identity_key: {file: identity.key}, a file of at least 32 random bytes)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := newSpec(grants("true", test.grant))
			if test.change != nil {
				test.change(spec)
			}
			set, faults := rules.CompileUnproven(spec)
			for i := range faults {
				faults[i].Offset, faults[i].Length = 0, 0
			}
			if got, want := faultLines("", faults), "rules[0].grants"+test.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if warned := strings.Contains(test.want, "warning"); warned != (set != nil) {
				t.Errorf("set %v with %s", set, test.want)
			}
		})
	}
}

func TestSpecFaults(t *testing.T) {
	parameter := func(p rules.ParameterSpec) func(*rules.Spec) {
		p.Path = "parameters.x"
		return func(s *rules.Spec) { s.Parameters = []rules.ParameterSpec{p} }
	}
	rule := func(change func(*rules.RuleSpec)) func(*rules.Spec) {
		return func(s *rules.Spec) { change(&s.Rules[0]) }
	}
	text := rules.Text{Path: "rules[0].identity", Source: "x"}
	for _, test := range []struct {
		name   string
		change func(*rules.Spec)
		want   string
	}{
		{"two issuers of one name", func(s *rules.Spec) { s.Issuers = append(s.Issuers, newIssuer(1, "idp")) }, `issuers[1].name: another issuer is named "idp" [duplicate-name]`},
		{"two rules of one name", func(s *rules.Spec) { s.Rules = append(s.Rules, s.Rules[0]) }, `rules[0].name: another rule is named "r0" [duplicate-name]`},
		{"two parameters of one name", func(s *rules.Spec) { s.Parameters = append(s.Parameters, s.Parameters[0]) }, `parameters.room.name: another parameter is named "room" [duplicate-name]`},
		{"an unknown issuer", rule(func(r *rules.RuleSpec) { r.Issuers = []string{"ipd"} }), `rules[0].issuer: no issuer is named "ipd" [unknown-issuer] (did you mean idp?)`},
		{"an unknown account", rule(func(r *rules.RuleSpec) { r.Account = rules.Text{Path: "rules[0].account", Source: "Main"} }), `rules[0].account: no account is named "Main" [unknown-account] (did you mean main?)`},
		{"an account outside braces", rule(func(r *rules.RuleSpec) { r.Account = rules.Text{Path: "rules[0].account", Source: "claims.account"} }), `rules[0].account: no account is named "claims.account" [unknown-account] (write "${claims.account}")`},
		{"a rule that does nothing", rule(func(r *rules.RuleSpec) { r.Grants = nil }), "rules[0]: the rule does nothing [useless-rule] (give it grants, ttl, identity, account or deny)"},
		{"a deny that grants", rule(func(r *rules.RuleSpec) { r.Deny = "x" }), "rules[0]: a rule that denies sets nothing else [deny-and-grant]"},
		{"a deny with a ttl", rule(func(r *rules.RuleSpec) { r.Deny, r.Grants, r.TTL = "x", nil, time.Hour }), "rules[0]: a rule that denies sets nothing else [deny-and-grant]"},
		{"a deny with an identity", rule(func(r *rules.RuleSpec) { r.Deny, r.Grants, r.Identity = "x", nil, text }), "rules[0]: a rule that denies sets nothing else [deny-and-grant]"},
		{"a deny with an account", rule(func(r *rules.RuleSpec) {
			r.Deny, r.Grants, r.Account = "x", nil, rules.Text{Path: "rules[0].account", Source: "main"}
		}), "rules[0]: a rule that denies sets nothing else [deny-and-grant]"},
		{"an issuer without identity", func(s *rules.Spec) { s.Issuers[0].Identity = rules.Text{} }, `issuers[0]: issuer "idp" has no identity, and rule "r0" grants without setting one [no-identity] (add identity: "idp__${escape(claims.sub)}")`},
		{"an identity that not everyone gets", func(s *rules.Spec) {
			s.Issuers[0].Identity = rules.Text{}
			*s = *newSpec(grants("true", video("a")), with(when("claims.vip"), func(r *rules.RuleSpec) { r.Identity.Source = "x" }))
			s.Issuers[0].Identity = rules.Text{}
		}, `issuers[0]: issuer "idp" has no identity, and rule "r0" grants without setting one [no-identity] (add identity: "idp__${escape(claims.sub)}")`},
		{"an identity that everyone gets", func(s *rules.Spec) {
			*s = *newSpec(grants("true", video("a")), with(when("true"), func(r *rules.RuleSpec) { r.Identity.Source = "x" }))
			s.Issuers[0].Identity = rules.Text{}
		}, ""},
		{"a claim's unknown type", func(s *rules.Spec) { s.Issuers[0].Claims[1].Type = "integer" }, `issuers[0].claims.level: "integer" is not a type of claims [unknown-type] (the types are string, int, double, bool and list(string), list(int), list(double), list(bool))`},
		{"a list of lists", func(s *rules.Spec) { s.Issuers[0].Claims[1].Type = "list(list(int))" }, `issuers[0].claims.level: "list(list(int))" is not a type of claims [unknown-type] (the types are string, int, double, bool and list(string), list(int), list(double), list(bool))`},
		{"an empty requirement", func(s *rules.Spec) { s.Issuers[0].Require = []rules.Text{{Path: "issuers[0].require[0]"}} }, `issuers[0].require[0]: the condition is empty [empty-condition] (write "true" to mean everybody)`},
		{"a parameter's name", parameter(rules.ParameterSpec{Name: "Room-1", Pattern: "x"}), `parameters.x: "Room-1" is no name for a parameter [invalid-name] (use lower-case letters, digits and _, a letter first)`},
		{"OAuth's own parameter", parameter(rules.ParameterSpec{Name: "state", Pattern: "x", Default: "x", HasDefault: true}), `parameters.x: "state" has a meaning of its own in OAuth [reserved-name]`},
		{"neither pattern nor enum", parameter(rules.ParameterSpec{Name: "x"}), "parameters.x: a parameter has either pattern or enum [pattern-or-enum]"},
		{"pattern and enum", parameter(rules.ParameterSpec{Name: "x", Pattern: "a", Enum: []string{"a"}}), "parameters.x: a parameter has either pattern or enum [pattern-or-enum]"},
		{"a pattern with a quotation that its anchor would be part of", parameter(rules.ParameterSpec{Name: "x", Pattern: `\Qa.b`, Default: "a.b", HasDefault: true}), ""},
		{"a pattern that gets out of its anchors", parameter(rules.ParameterSpec{Name: "x", Pattern: "a)|(b"}), "parameters.x.pattern: unexpected ): `a)|(b` [invalid-pattern]"},
		{"a default that is not in enum", parameter(rules.ParameterSpec{Name: "x", Enum: []string{"a"}, Default: "b", HasDefault: true}), "parameters.x.default: the default is not a value that the parameter allows [invalid-default]"},
		{"a default that only begins as the pattern", parameter(rules.ParameterSpec{Name: "x", Pattern: "a|b", Default: "ac", HasDefault: true}), "parameters.x.default: the default is not a value that the parameter allows [invalid-default]"},
		{"all at once", func(s *rules.Spec) {
			s.Rules[0].When.Source = "claim.x"
			s.Rules[0].Issuers = []string{"idp", "other"}
			s.Issuers[0].Require = []rules.Text{{Path: "issuers[0].require[0]", Source: "now"}}
		}, `rules[0].issuer: no issuer is named "other" [unknown-issuer]
issuers[0].require[0]: a condition is a bool, and this is a timestamp [not-a-condition]
rules[0].when: unknown name "claim" [unknown-name] (did you mean claims?)`},
		{"what is wrong for every issuer is said once", func(s *rules.Spec) {
			s.Issuers = append(s.Issuers, newIssuer(1, "second"))
			s.Issuers[1].Claims = nil
			s.Rules[0].When.Source = "claim.x"
		}, `rules[0].when: unknown name "claim" [unknown-name] (did you mean claims?)`},
		{"what is wrong for one issuer alone", func(s *rules.Spec) {
			s.Issuers = append(s.Issuers, newIssuer(1, "second"))
			s.Issuers[1].Claims = nil // level is open there
			s.Rules[0].When.Source = "claims.level == 'a'"
		}, "rules[0].when: no matching overload for 'int == string' [type-mismatch]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := newSpec(grants("true", video("a")))
			test.change(spec)
			set, faults := rules.CompileUnproven(spec)
			for i := range faults {
				faults[i].Offset, faults[i].Length = 0, 0
			}
			if got := faultLines("", faults); got != test.want || (set == nil) != (test.want != "") {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"claims", "issuer", "client", "request", "now"}
	for name, want := range map[string]string{
		"claim": "claims", "CLAIMS": "claims", "clamis": "claims", "rquest": "request", "isuser": "issuer",
		"nwo": "now", "n": "", "": "", "token": "", "cliams": "claims",
	} {
		if got := rules.Nearest(name, candidates); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestGrantFields holds the names that the configuration takes, which are also
// those of a decision's JSON.
func TestGrantFields(t *testing.T) {
	want := map[rules.Kind]string{
		rules.KindVoice:      "outgoing_application_sid outgoing_params incoming_allow push_credential_sid endpoint_id",
		rules.KindVideo:      "room any_room",
		rules.KindChat:       "service_sid endpoint_id deployment_role_sid push_credential_sid",
		rules.KindSync:       "service_sid endpoint_id",
		rules.KindTaskRouter: "workspace_sid worker_sid role",
		"conversations":      "",
	}
	got := map[rules.Kind]string{}
	for kind := range want {
		got[kind] = strings.Join(rules.GrantFields(kind), " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
