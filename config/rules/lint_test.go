package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// lintSpec is a spec of rules with nothing else in it to warn of.
func lintSpec(rs ...rules.RuleSpec) *rules.Spec {
	s := newSpec(rs...)
	s.TTL = 4 * time.Hour
	for i := range s.Issuers[0].Claims {
		s.Issuers[0].Claims[i].Path = "" // as if a provider's preset had declared them
	}
	return s
}

// warnings returns what a spec is warned of, a line each, with the text that
// each points at.
func warnings(t testing.TB, s *rules.Spec) string {
	t.Helper()
	set, faults := rules.Prove(s)
	if set == nil {
		t.Fatalf("the spec is at fault: %v", faults)
	}
	var lines []string
	for _, f := range faults {
		line := f.Path + ":"
		if f.Length > 0 {
			line = fmt.Sprintf("%s `%s`:", f.Path, textAt(s, f.Path)[f.Offset:f.Offset+f.Length])
		}
		line += fmt.Sprintf(" %s [%s]", f.Message, f.ID)
		if f.Hint != "" {
			line += " (" + f.Hint + ")"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// textAt returns the text of a spec at a path.
func textAt(s *rules.Spec, path string) string {
	texts := map[string]string{}
	for _, is := range s.Issuers {
		texts[is.Identity.Path] = is.Identity.Source
		for _, text := range is.Require {
			texts[text.Path] = text.Source
		}
	}
	for _, r := range s.Rules {
		texts[r.When.Path], texts[r.Identity.Path], texts[r.Account.Path] = r.When.Source, r.Identity.Source, r.Account.Source
		for _, g := range r.Grants {
			for _, f := range g.Fields {
				texts[f.Path], _ = f.Value.(string)
			}
		}
	}
	return texts[path]
}

// A lintTest is a spec and what it is warned of; "" for what only looks like it.
type lintTest struct {
	name string // "": the condition
	when string
	spec *rules.Spec // nil: one rule, which grants chat when the condition holds
	want string
}

func lintTests(t *testing.T, tests []lintTest) {
	for _, test := range tests {
		name, spec := test.name, test.spec
		if name == "" {
			name = test.when
		}
		if spec == nil {
			spec = lintSpec(grants(test.when, chat()))
		}
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, warnings(t, spec)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func deny(condition string) rules.RuleSpec {
	return with(when(condition), func(r *rules.RuleSpec) { r.Deny = "refused" })
}

// required is a spec whose issuer demands conditions of everybody.
func required(s *rules.Spec, conditions ...string) *rules.Spec {
	for i, condition := range conditions {
		s.Issuers[0].Require = append(s.Issuers[0].Require, rules.Text{Path: fmt.Sprintf("issuers[0].require[%d]", i), Source: condition})
	}
	return s
}

func TestLintEmail(t *testing.T) {
	warned := func(at, hint string) string {
		return at + ": email is read, and nothing says that it is verified: people can write any address there [email-unverified] (" + hint + ")"
	}
	const inWhen = "rules[0].when `claims.email`"
	identity := func(s *rules.Spec, value string) *rules.Spec {
		s.Rules[0].Identity = rules.Text{Path: "rules[0].identity", Source: value}
		return s
	}
	byValue := "write claims.sub in its place, or demand it: require: [\"claims.email_verified\"]"
	lintTests(t, []lintTest{
		{when: "claims.email == 'a@example.com'", want: warned(inWhen, "write claims.email == 'a@example.com' && claims.email_verified")},
		{when: "claims.email == 'a@example.com' && 'a' in claims.groups", want: warned(inWhen, "add && claims.email_verified")},
		{when: "claims.email_verified || claims.email == 'a@example.com'", want: warned(inWhen, "write (claims.email_verified || claims.email == 'a@example.com') && claims.email_verified")},
		{when: "claims.?email.orValue('') == 'a@example.com'", want: warned("rules[0].when `claims.?email`", "write claims.?email.orValue('') == 'a@example.com' && claims.email_verified")},
		{when: "claims['email'] in ['a@example.com']", want: warned("rules[0].when `claims['email']`", "write claims['email'] in ['a@example.com'] && claims.email_verified")},
		{when: "claims.email_verified == false && claims.email == 'a@example.com'", want: warned(inWhen, "add && claims.email_verified")},
		{when: "claims.?email_verified.orValue(true) && claims.email == 'a@example.com'", want: warned(inWhen, "add && claims.email_verified")},
		{when: "has(claims.email_verified) && claims.email == 'a@example.com'", want: warned(inWhen, "add && claims.email_verified")},
		{when: "!(claims.email == 'a@example.com' && claims.email_verified)", want: warned(inWhen, "write !(claims.email == 'a@example.com' && claims.email_verified) && claims.email_verified")},
		{name: "in a value", spec: lintSpec(grants("true", video("r-${claims.email}"))), want: warned("rules[0].grants.video.room `claims.email`", "add && claims.email_verified to when")},
		{name: "in an identity", spec: func() *rules.Spec {
			s := identity(lintSpec(grants("true", chat())), "u_${escape(claims.email)}_${escape(claims.sub)}")
			s.Rules[0].InsecureIdentity = true
			return s
		}(), want: "rules[0].identity: different people can get one identity, such as \"u__20_20\": where one value ends and the next begins cannot be told, and insecure_identity says that this is safe [insecure]\n" +
			warned("rules[0].identity `claims.email`", byValue)},
		{name: "in the issuer's identity", spec: func() *rules.Spec {
			s := lintSpec(grants("true", chat()))
			s.Issuers[0].Identity.Source = "u_${escape(claims.email)}__${escape(claims.sub)}"
			return s
		}(), want: warned("issuers[0].identity `claims.email`", byValue)},
		{name: "in a requirement", spec: required(lintSpec(grants("true", chat())), "claims.email.endsWith('@example.com')"),
			want: warned("issuers[0].require[0] `claims.email`", "write claims.email.endsWith('@example.com') && claims.email_verified")},
		{name: "in a deny that lets in", spec: lintSpec(deny("!(claims.?email.orValue('').endsWith('@example.com'))"), grants("true", chat())),
			want: warned("rules[0].when `claims.?email`", "let in whom the address and claims.email_verified let in: !(… && claims.email_verified)")},

		{when: "claims.email == 'a@example.com' && claims.email_verified"},
		{when: "claims.email_verified && ('a' in claims.groups || claims.email == 'a@example.com')"},
		{when: "'a' in claims.groups || (claims.email == 'a@example.com' && claims.email_verified)"},
		{when: "claims.email == 'a@example.com' && claims.email_verified == true"},
		{when: "claims.email == 'a@example.com' && true == claims.email_verified"},
		{when: "claims.email == 'a@example.com' && claims.email_verified != false"},
		{when: "claims.email == 'a@example.com' && claims['email_verified']"},
		{when: "claims.email == 'a@example.com' && claims.?email_verified.orValue(false)"},
		{when: "claims.email == 'a@example.com' && !(!claims.email_verified)"},
		{when: "claims.email_verified ? claims.email == 'a@example.com' : 'a' in claims.groups"},
		{when: "claims.email == 'a@example.com' && (claims.email_verified && 'a' in claims.groups || claims.email_verified && 'b' in claims.groups)"},
		{when: "has(claims.email) && 'a' in claims.groups"},
		{when: "'email' in claims && claims.email != '' && 'a' in claims.groups"},
		{when: "claims['https://acme.com/email'] == 'a@example.com'"},
		{name: "in a value of who is verified", spec: lintSpec(grants("claims.email_verified", video("r-${claims.email}")))},
		{name: "in a value that asks", spec: lintSpec(grants("true", video("${claims.email_verified ? claims.email : 'r'}")))},
		{name: "verified by a requirement", spec: required(lintSpec(grants("claims.email == 'a@example.com'", video("${claims.email}"))), "claims.email_verified")},
		{name: "in the issuer's identity, of who is verified", spec: func() *rules.Spec {
			s := required(lintSpec(grants("true", chat())), "claims.email_verified == true")
			s.Issuers[0].Identity.Source = "u_${escape(claims.email)}__${escape(claims.sub)}"
			return s
		}()},
		{name: "in a deny that keeps out", spec: lintSpec(deny("claims.?email.orValue('') == 'troll@example.com'"), grants("true", chat()))},
		{name: "in a deny that lets in who is verified", spec: lintSpec(deny("!(claims.?email.orValue('').endsWith('@example.com') && claims.?email_verified.orValue(false))"), grants("true", chat()))},
		{name: "as a parameter of a call", spec: lintSpec(grants("true", grant(rules.KindVoice, "outgoing_application_sid", ap, "outgoing_params", []rules.FieldSpec{{Name: "email", Value: "${claims.email}"}})))},
	})
}

func TestLintLooseMatch(t *testing.T) {
	passes := func(at, stranger, hint string) string {
		return fmt.Sprintf("rules[0].when `%s`: %q passes this test, too [loose-match] (write %s)", at, stranger, hint)
	}
	v := " && claims.email_verified"
	part := func(claim, at, name string) string {
		return fmt.Sprintf("rules[0].when `%s`: a part of %s says little: strangers choose the rest [loose-match] (write %s == '…', or name the issuer: issuer: idp)", at, claim, name)
	}
	lintTests(t, []lintTest{
		{when: "claims.email.endsWith('example.com')" + v, want: passes("claims.email.endsWith('example.com')", "eve@evil-example.com", "claims.email.endsWith('@example.com')")},
		{when: "claims.email.lowerAscii().endsWith(\"example.com\")" + v, want: passes("claims.email.lowerAscii().endsWith(\"example.com\")", "eve@evil-example.com", "claims.email.lowerAscii().endsWith('@example.com')")},
		{when: "claims.?email.orValue('').endsWith('example.com')" + v, want: passes("claims.?email.orValue('').endsWith('example.com')", "eve@evil-example.com", "claims.?email.orValue('').endsWith('@example.com')")},
		{when: "claims.email.split('@')[1].endsWith('example.com')" + v, want: passes("claims.email.split('@')[1].endsWith('example.com')", "evil-example.com", "claims.email.split('@')[1] == 'example.com', or claims.email.split('@')[1].endsWith('.example.com')")},
		{when: "claims.hd.endsWith('example.com')", want: passes("claims.hd.endsWith('example.com')", "evil-example.com", "claims.hd == 'example.com', or claims.hd.endsWith('.example.com')")},
		{when: "claims.groups.exists(g, g.endsWith('example.com'))", want: passes("g.endsWith('example.com')", "evil-example.com", "g == 'example.com', or g.endsWith('.example.com')")},
		{when: "claims.email.contains('@example.com')" + v, want: passes("claims.email.contains('@example.com')", "eve@example.com.evil.example", "claims.email.endsWith('@example.com')")},
		{when: "claims.email.contains('example.com')" + v, want: passes("claims.email.contains('example.com')", "eve+example.com@evil.example", "claims.email.endsWith('@example.com')")},
		{when: "claims.email.startsWith('admin')" + v, want: passes("claims.email.startsWith('admin')", "admin@evil.example", "claims.email in ['admin@example.com']")},
		{when: "!(claims.email.endsWith('example.com') == false)" + v, want: passes("claims.email.endsWith('example.com')", "eve@evil-example.com", "claims.email.endsWith('@example.com')")},
		{when: "claims.iss.startsWith('https://idp')", want: part("iss", "claims.iss.startsWith('https://idp')", "claims.iss")},
		{when: "claims.iss.contains('example')", want: part("iss", "claims.iss.contains('example')", "claims.iss")},
		{when: "claims.aud.exists(a, a.startsWith('app'))", want: part("aud", "a.startsWith('app')", "a")},
		{name: "in a deny that lets in", spec: lintSpec(deny("!claims.?hd.orValue('').endsWith('example.com')"), grants("true", chat())),
			want: passes("claims.?hd.orValue('').endsWith('example.com')", "evil-example.com", "claims.?hd.orValue('') == 'example.com', or claims.?hd.orValue('').endsWith('.example.com')")},

		{when: "claims.email.endsWith('@example.com')" + v},
		{when: "claims.email.endsWith('.example.com')" + v},
		{when: "claims.email.split('@')[1] == 'example.com'" + v},
		{when: "claims.hd.endsWith('.example.com')"},
		{when: "claims.team.endsWith('-admins')"},
		{when: "claims.team.startsWith('eu') || claims.team.contains('emea')"},
		{when: "claims.email.contains('@')" + v},
		{when: "!claims.email.endsWith('example.com') && 'a' in claims.groups" + v},
		{when: "claims.email.endsWith('example.com') == false && 'a' in claims.groups" + v},
		{when: "claims.iss.startsWith('https://idp.example/')"},
		{when: "claims.sub.startsWith('google-oauth2|')"},
		{name: "in a deny that keeps out", spec: lintSpec(deny("claims.?email.orValue('').endsWith('spam.example')"), grants("true", chat()))},
	})
}

func TestLintRegex(t *testing.T) {
	warned := func(pattern, instead string) string {
		return fmt.Sprintf("rules[0].when `%s`: text that only has a match of this pattern somewhere in it passes, too [unanchored-regex] (write claims.team.matches(%s), or .* where anything may stand)", pattern, instead)
	}
	lintTests(t, []lintTest{
		{when: "claims.team.matches('eu')", want: warned("'eu'", "'^eu$'")},
		{when: "claims.team.matches('^eu')", want: warned("'^eu'", "'^eu$'")},
		{when: "claims.team.matches('eu$')", want: warned("'eu$'", "'^eu$'")},
		{when: "claims.team.matches('^eu|us$')", want: warned("'^eu|us$'", "'^(?:eu|us)$'")},
		{when: "claims.team.matches('^eu$|us')", want: warned("'^eu$|us'", "'^(?:eu$|us)$'")},
		{when: `claims.team.matches(r'^\d\$')`, want: warned(`r'^\d\$'`, `r'^\d\$$'`)},
		{when: `claims.team.matches("(?i)eu")`, want: warned(`"(?i)eu"`, `"^(?i)eu$"`)},
		{when: `claims.team.matches("(?m)^eu$")`, want: "rules[0].when `\"(?m)^eu$\"`: text that only has a match of this pattern somewhere in it passes, too [unanchored-regex] (leave m out: with it ^ and $ hold at every line)"},
		{name: "in a value", spec: lintSpec(grants("true", video("${claims.team.matches('^eu') ? 'eu' : 'us'}"))),
			want: "rules[0].grants.video.room `'^eu'`: text that only has a match of this pattern somewhere in it passes, too [unanchored-regex] (write claims.team.matches('^eu$'), or .* where anything may stand)"},
		{when: "claims.team.matches(claims.pattern)", want: "rules[0].when `claims.pattern`: the pattern comes from a claim, and whoever writes pattern writes .* [computed-regex] (compare as text: claims.team == claims.pattern)"},
		{when: "'a' in claims.groups && claims.team.matches('^' + request.room + '$')", want: "rules[0].when `'^' + request.room + '$'`: the pattern comes from a parameter, and whoever writes room writes .* [computed-regex] (compare as text: claims.team == '^' + request.room + '$')"},

		{when: "claims.team.matches('^eu$')"},
		{when: "claims.team.matches('^(eu|us)$')"},
		{when: "claims.team.matches('^eu$|^us$')"},
		{when: "claims.team.matches('^eu-.*')"},
		{when: "claims.team.matches('.*-eu$')"},
		{when: "claims.team.matches('.*')"},
		{when: `claims.team.matches(r'\Aeu\z')`},
		{when: "claims.groups.exists(g, g.matches('^team-[0-9]+$'))"},
		{when: "'a' in claims.groups && !claims.team.matches('bot')"},
		{when: "'a' in claims.groups && 'eu-1'.matches('eu')"},
		{name: "in a deny that keeps out", spec: lintSpec(deny("claims.?team.orValue('').matches('bot')"), grants("true", chat()))},
	})
}

func TestLintEditable(t *testing.T) {
	warned := func(at, name string) string {
		return at + ": " + name + " is what people say of themselves, and it decides what they get [editable-claim] (decide by what the provider says of them: claims.sub, a group, a role)"
	}
	entra := func(s *rules.Spec) *rules.Spec {
		s.Issuers[0].Editable = []string{"email", "upn"}
		return s
	}
	lintTests(t, []lintTest{
		{when: "claims.nickname == 'boss'", want: warned("rules[0].when `claims.nickname`", "nickname")},
		{when: "claims.preferred_username in ['boss'] && 'a' in claims.groups", want: warned("rules[0].when `claims.preferred_username`", "preferred_username")},
		{when: "claims.user_metadata.role == 'admin'", want: warned("rules[0].when `claims.user_metadata`", "user_metadata")},
		{when: "claims['https://acme.com/user_metadata'].role == 'admin'", want: warned("rules[0].when `claims['https://acme.com/user_metadata']`", "https://acme.com/user_metadata")},
		{name: "in a value", spec: lintSpec(grants("true", video("r-${claims.nickname}"))), want: warned("rules[0].grants.video.room `claims.nickname`", "nickname")},
		{name: "in a requirement", spec: required(lintSpec(grants("true", chat())), "claims.name.startsWith('Dr ')"), want: warned("issuers[0].require[0] `claims.name`", "name")},
		{name: "an address that nothing vouches for", spec: entra(lintSpec(grants("claims.email.endsWith('@example.com') && claims.email_verified", chat()))),
			want: warned("rules[0].when `claims.email`", `email at issuer "idp"`)},

		{when: "has(claims.name) && 'a' in claims.groups"},
		{when: "claims.nickname != '' && 'a' in claims.groups"},
		{when: "'a' in claims.groups && !(claims.nickname == 'troll')"},
		{when: "claims.app_metadata.role == 'admin'"},
		{when: "claims['https://acme.com/name'] == 'a'"},
		{when: "claims.locale.startsWith('de') && 'a' in claims.groups"},
		{name: "in a deny that keeps out", spec: lintSpec(deny("claims.?nickname.orValue('') == 'troll'"), grants("true", chat()))},
		{name: "Entra's word for the address's domain", spec: entra(lintSpec(grants("claims.email.endsWith('@example.com') && claims.xms_edov == true", chat())))},
		{name: "as a parameter of a call", spec: lintSpec(grants("true", grant(rules.KindVoice, "outgoing_application_sid", ap, "outgoing_params", []rules.FieldSpec{{Name: "name", Value: "${claims.name}"}})))},
	})
}

func TestLintNotEqual(t *testing.T) {
	warned := func(at, claim string) string {
		return fmt.Sprintf("rules[0].when `%s`: whatever else %s is lets people in, and so do values that nobody has thought of [not-equal-alone] (list who may: %s in ['…'])", at, claim, claim)
	}
	lintTests(t, []lintTest{
		{when: "claims.role != 'guest'", want: warned("claims.role != 'guest'", "claims.role")},
		{when: "'guest' != claims.role", want: warned("'guest' != claims.role", "claims.role")},
		{when: "!(claims.role == 'guest')", want: warned("!(claims.role == 'guest')", "claims.role")},
		{when: "!(claims.role in ['guest', 'bot'])", want: warned("!(claims.role in ['guest', 'bot'])", "claims.role")},
		{when: "has(claims.role) && claims.role != 'guest' && claims.email_verified && request.platform == 'ios'", want: warned("claims.role != 'guest'", "claims.role")},
		{when: "claims.role != 'guest' && claims.role != 'bot'", want: warned("claims.role != 'guest'", "claims.role")},

		{when: "claims.role != 'guest' && 'a' in claims.groups"},
		{when: "claims.patient != ''"},
		{when: "claims.role != claims.other"},
		{when: "!('suspended' in claims.?groups.orValue([]))"},
		{when: "claims.vip != false"},
		{when: "claims.?plan.orValue('free') != 'free'"},
		{name: "where everybody is picked", spec: required(lintSpec(grants("claims.role != 'guest'", chat())), "'staff' in claims.groups")},
		{name: "in a deny", spec: lintSpec(deny("claims.?role.orValue('') != 'member'"), grants("true", chat()))},
		{name: "in a cap", spec: lintSpec(with(when("claims.role != 'staff'"), func(r *rules.RuleSpec) { r.TTL = 4 * time.Hour }), grants("'a' in claims.groups", chat()))},
	})
}

func TestLintUndecided(t *testing.T) {
	absent := func(at, name, hint string) string {
		return fmt.Sprintf("rules[0].when `%s`: everybody whose token has no claim %s is refused: without it this is undecided [undecided-deny] (%s)", at, name, hint)
	}
	say := "say what it means that the claim is absent: "
	tests := []lintTest{
		{when: "'suspended' in claims.groups", want: absent("claims.groups", "groups", say+"claims.?groups.orValue([])")},
		{when: "'suspended' in claims['https://acme.com/groups']", want: absent("claims['https://acme.com/groups']", "https://acme.com/groups", say+"claims[?'https://acme.com/groups'].orValue([])")},
		{when: "claims.status == 'suspended'", want: absent("claims.status", "status", say+"claims.?status.orValue('')")},
		{when: "!claims.email_verified", want: absent("claims.email_verified", "email_verified", say+"claims.?email_verified.orValue(false)")},
		{when: "claims.level < 3", want: absent("claims.level", "level", say+"claims.?level.orValue(0)")},
		{when: "claims.realm_access.suspended", want: absent("claims.realm_access", "realm_access", "ask first: has(claims.realm_access) && …")},
		{when: "claims.sub == 'a' && claims.status == 'b'", want: absent("claims.status", "status", say+"claims.?status.orValue('')")},
		{when: "claims.groups.exists(g, g.startsWith('x'))", want: absent("claims.groups", "groups", say+"claims.?groups.orValue([])")},
		{when: "has(claims.status) || claims.status == 'b'", want: absent("claims.status", "status", say+"claims.?status.orValue('')")},
		{when: "has(claims.a.b)", want: absent("claims.a", "a", "ask first: has(claims.a) && …")},
		{when: "claims.?status.value() == 'b' && claims.status == 'b'", want: absent("claims.status", "status", say+"claims.?status.orValue('')")},
		{when: "request.room == 'x'", want: "rules[0].when `request.room`: everybody who sends no parameter room is refused: without it this is undecided [undecided-deny] (say what it means that the parameter is absent: request.?room.orValue(''))"},

		{when: "'suspended' in claims.?groups.orValue([])"},
		{when: "has(claims.status) && claims.status == 'b'"},
		{when: "claims.status == 'b' && has(claims.status)"},
		{when: "'status' in claims && claims.status == 'b'"},
		{when: "!has(claims.status) || claims.status == 'b'"},
		{when: "has(claims.status) ? claims.status == 'b' : false"},
		{when: "claims.?status.hasValue() && claims.status == 'b'"},
		{when: "claims.?a.?b.orValue(false)"},
		{when: "claims.?groups.orValue([]).exists(g, g.startsWith('x'))"},
		{when: "claims.sub == 'auth0|1' || 'other' in claims.aud"},
		{when: "request.?room.orValue('') == 'x'"},
	}
	for i := range tests {
		tests[i].spec = lintSpec(deny(tests[i].when), grants("true", chat()))
	}
	byPreset := lintSpec(deny("claims.token_use == 'a'"), grants("true", chat()))
	byPreset.Issuers[0].Policy.Required = []rules.ClaimRule{{Path: []string{"token_use"}}}
	byDefault := lintSpec(deny("request.platform == 'ios'"), grants("true", chat()))
	byDefault.Parameters[1].Default = "web"
	lintTests(t, append(tests,
		lintTest{name: "a claim that is required", spec: required(lintSpec(deny("claims.status == 'b'"), grants("true", chat())), "claims.status != ''")},
		lintTest{name: "a claim that the preset requires", spec: byPreset},
		lintTest{name: "a parameter with a default", spec: byDefault},
		lintTest{name: "a rule that grants", when: "'a' in claims.groups"},
	))
}

func TestLintUnreachable(t *testing.T) {
	const (
		won     = "rules[1]: whenever this matches, rule \"r0\" above has won all that it sets [unreachable-rule] (take it out, or put it above)"
		refused = ": rule \"r0\" refuses everybody whom this matches [unreachable-rule] (take one of them out)"
	)
	never := func(at, why, hint string) string {
		return fmt.Sprintf("rules[0].when `%s`: %s [unreachable-rule] (%s)", at, why, hint)
	}
	expires := func(r rules.RuleSpec, year int) rules.RuleSpec {
		r.Expires = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		return r
	}
	two := func(a, b string) *rules.Spec { return lintSpec(grants(a, chat()), grants(b, chat())) }
	twoIssuers := func(rs ...rules.RuleSpec) *rules.Spec {
		for i := range rs {
			rs[i] = with(rs[i], func(r *rules.RuleSpec) { r.AnyIssuer = true })
		}
		s := lintSpec(rs...)
		s.Issuers = append(s.Issuers, newIssuer(1, "other"))
		s.Issuers[1].Claims = nil
		return s
	}
	either := "say one or the other: || in place of &&"
	lintTests(t, []lintTest{
		{name: "after everybody", spec: two("true", "'a' in claims.groups"), want: won},
		{name: "twice", spec: two("'a' in claims.groups", "'a' in claims.groups"), want: won},
		{name: "with more conditions", spec: two("claims.email_verified", "'a' in claims.groups && claims.email_verified"), want: won},
		{name: "with its conditions in another order", spec: two("has(claims.a) && claims.email_verified", "claims.email_verified && has(claims.a)"), want: won},
		{name: "one of a list", spec: two("claims.team in ['a', 'b']", "claims['team'] == 'b'"), want: won},
		{name: "one of two ways", spec: two("claims.team == 'a' || 'x' in claims.groups", "'x' in claims.groups && claims.email_verified"), want: won},
		{name: "both of one way", spec: two("claims.team == 'a' && has(claims.b) || 'x' in claims.groups", "has(claims.b) && claims.team == 'a'"), want: won},
		{name: "present", spec: two("has(claims.team)", "claims.team == 'b'"), want: won},
		{name: "an item, however absence is met", spec: two("'a' in claims.groups", "'a' in claims.?groups.orValue([])"), want: won},
		{name: "a loop", spec: two("claims.groups.exists(g, g == 'a')", "claims.groups.exists(g, g == 'a')"), want: won},
		{name: "by what is required", spec: required(two("claims.email_verified", "'a' in claims.groups"), "claims.email_verified"), want: won},
		{name: "by two rules", spec: lintSpec(grants("true", chat()), grants("has(claims.a)", video("a")), grants("has(claims.a)", chat(), video("b"))),
			want: "rules[2]: whenever this matches, rules \"r0\" and \"r1\" above have won all that it sets [unreachable-rule] (take it out, or put it above)"},
		{name: "for one issuer", spec: two("issuer == 'idp'", "'a' in claims.groups"), want: won},
		{name: "a ttl of its own counts for nothing", spec: lintSpec(grants("true", chat()), with(grants("true", chat()), func(r *rules.RuleSpec) { r.TTL = time.Hour })), want: won},
		{name: "until the same day", spec: lintSpec(expires(grants("true", chat()), 2030), expires(grants("true", chat()), 2030)), want: won},
		{name: "refused", spec: lintSpec(deny("claims.?team.orValue('') == 'a'"), grants("claims.?team.orValue('') == 'a' && claims.email_verified", chat())), want: "rules[1]" + refused},
		{name: "refused twice", spec: lintSpec(deny("'a' in claims.?groups.orValue([])"), deny("'a' in claims.?groups.orValue([]) && claims.sub == 'x'"), grants("true", chat())), want: "rules[1]" + refused},
		{name: "refused by a rule below", spec: func() *rules.Spec {
			s := lintSpec(grants("claims.sub == 'x'", chat()), deny("claims.sub == 'x'"))
			s.Rules[0].Name, s.Rules[1].Name = "r1", "r0"
			return s
		}(), want: "rules[0]" + refused},
		{when: "false", want: never("false", "this is never true", "take the rule out")},
		{when: "'a' in claims.groups && false", want: never("false", "this is never true", "take the rule out")},
		{when: "claims.team == 'a' && claims.team == 'b'", want: never("claims.team == 'a'", `nobody meets this condition: it wants team to be "b", and "a" at once`, either)},
		{when: "claims.team == 'a' && claims.team in ['b', 'c']", want: never("claims.team == 'a'", `nobody meets this condition: it wants team to be "b" or "c", and "a" at once`, either)},
		{when: "claims.vip && !claims.vip", want: never("!claims.vip", "nobody meets this condition: it wants the contrary, too", either)},
		{when: "issuer == 'another' && claims.vip", want: never("issuer == 'another'", `nobody meets this condition: the rule is for issuer "idp"`, either)},
		{name: "against what is required", spec: required(lintSpec(grants("claims.team == 'a'", chat())), "claims.team == 'b'"),
			want: never("claims.team == 'a'", `nobody meets this condition: it wants team to be "b", and "a" at once`, either)},
		{name: "for all issuers", spec: twoIssuers(grants("true", chat()), grants("claims.vip", chat())), want: won},

		{name: "before everybody", spec: two("'a' in claims.groups", "true")},
		{name: "another claim", spec: two("claims.a == 'x'", "claims.b == 'x'")},
		{name: "more of a list", spec: two("claims.team == 'a'", "claims.team in ['a', 'b']")},
		{name: "another item", spec: two("'a' in claims.groups", "'b' in claims.groups")},
		{name: "an item of what is compared", spec: two("claims.team == 'a'", "'a' in claims.team")},
		{name: "a way more", spec: two("'x' in claims.groups", "claims.team == 'a' || 'x' in claims.groups")},
		{name: "present in a list", spec: two("has(claims.team)", "'b' in claims.groups")},
		{name: "one output more", spec: lintSpec(grants("true", chat()), grants("'a' in claims.groups", chat(), video("a")))},
		{name: "an identity", spec: lintSpec(grants("true", chat()), with(grants("'a' in claims.groups", chat()), func(r *rules.RuleSpec) { r.Identity.Source = "a__${escape(claims.sub)}" }))},
		{name: "a cap", spec: lintSpec(grants("true", chat()), with(when("'a' in claims.groups"), func(r *rules.RuleSpec) { r.TTL = 4 * time.Hour }))},
		{name: "longer than the first", spec: lintSpec(expires(grants("true", chat()), 2030), grants("true", chat()))},
		{name: "until a later day", spec: lintSpec(expires(grants("true", chat()), 2030), expires(grants("true", chat()), 2031))},
		{name: "refused for more", spec: lintSpec(deny("claims.sub == 'x' && claims.?team.orValue('') == 'a'"), grants("claims.sub == 'x'", chat()))},
		{name: "refused until a day", spec: func() *rules.Spec {
			s := lintSpec(deny("claims.sub == 'x'"), grants("claims.sub == 'x'", chat()))
			s.Rules[0].When.Source = "claims.sub == 'y'"
			return s
		}()},
		{name: "for another issuer", spec: twoIssuers(grants("issuer == 'idp'", chat()), grants("'a' in claims.groups", chat()))},
		{name: "two values of two claims", when: "claims.team == 'a' && claims.role == 'b'"},
		{name: "one value in two lists", when: "claims.team in ['a', 'b'] && claims.team in ['b', 'c']"},
		{name: "two items", when: "'a' in claims.groups && 'b' in claims.groups"},
	})
}

func TestLintParameterAlone(t *testing.T) {
	warned := func(at, name string) string {
		return fmt.Sprintf("rules[0].grants.%s: everybody who is signed in gets this by asking for it: request.%s is all that decides [parameter-alone] (put in whose it is: \"${escape(claims.sub)}__${request.%s}\", or ask in when for a claim that says who may)", at, name, name)
	}
	room := func(when, value string) *rules.Spec { return lintSpec(grants(when, video(value))) }
	lintTests(t, []lintTest{
		{name: "a room", spec: room("true", "${request.room}"), want: warned("video.room `request.room`", "room")},
		{name: "with a prefix", spec: room("true", "support-${request.room}"), want: warned("video.room `request.room`", "room")},
		{name: "escaped, in brackets", spec: room("'room' in request", "${escape(request['room'])}"), want: warned("video.room", "room")},
		{name: "or a default", spec: room("request.platform == 'ios'", "${request.?room.orValue('lobby')}"), want: warned("video.room", "room")},
		{name: "for who is verified", spec: required(room("true", "${request.room}"), "claims.email_verified"), want: warned("video.room `request.room`", "room")},
		{name: "a service", spec: lintSpec(grants("true", grant(rules.KindSync, "service_sid", "${request.room}"))), want: warned("sync.service_sid `request.room`", "room")},

		{name: "for a group", spec: room("'doctors' in claims.groups", "${request.room}")},
		{name: "for a group, by a requirement", spec: required(room("true", "${request.room}"), "'doctors' in claims.groups")},
		{name: "for everybody, on purpose", spec: room("claims.sub != ''", "${request.room}")},
		{name: "of one's own", spec: room("true", "${escape(claims.sub)}__${request.room}")},
		{name: "of one's own, by a pseudonym", spec: room("true", "${pseudonym(claims.sub)}-${request.room}")},
		{name: "of a list", spec: room("true", "${request.platform}")},
		{name: "chosen by a parameter", spec: room("true", "${request.?room.orValue('') == 'vip' ? 'vip' : 'lobby'}")},
		{name: "as a parameter of a call", spec: lintSpec(grants("true", grant(rules.KindVoice, "outgoing_application_sid", ap, "outgoing_params", []rules.FieldSpec{{Name: "to", Value: "${request.room}"}})))},
		{name: "a device", spec: lintSpec(grants("true", grant(rules.KindSync, "service_sid", "default", "endpoint_id", "${request.room}")))},
	})
}

// TestLintAnyRoom has rooms that are a parameter, by its pattern.
func TestLintAnyRoom(t *testing.T) {
	const warned = "rules[0].grants.video.room: request.room may be any text, so the token opens every room of the account [any-room] (narrow its pattern, or put in whose room it is: \"${escape(claims.sub)}__${escape(request.room)}\")"
	spec := func(when, pattern, value string) *rules.Spec {
		s := lintSpec(grants(when, video(value)))
		s.Parameters = []rules.ParameterSpec{{Path: "parameters.room", Name: "room", Pattern: pattern}}
		return s
	}
	group := "'doctors' in claims.groups"
	lintTests(t, []lintTest{
		{name: "anything", spec: spec(group, ".*", "${request.room}"), want: warned},
		{name: "anchored", spec: spec(group, "^(.+)$", "${request.room}"), want: warned},
		{name: "on lines", spec: spec(group, "(?s).{1,128}", "${request['room']}"), want: warned},
		{name: "or a default", spec: spec("claims.sub != ''", ".*", "${request.?room.orValue('lobby')}"), want: warned},

		{name: "narrow", spec: spec(group, "[a-z-]+", "${request.room}")},
		{name: "with a beginning", spec: spec(group, "visit-.*", "${request.room}")},
		{name: "a part of the room", spec: spec(group, ".*", "visit-${request.room}")},
		{name: "one's own", spec: spec(group, ".*", "${escape(claims.sub)}__${escape(request.room)}")},
		{name: "said already", spec: spec("true", ".*", "${request.room}"), want: "rules[0].grants.video.room `request.room`: everybody who is signed in gets this by asking for it: request.room is all that decides [parameter-alone] (put in whose it is: \"${escape(claims.sub)}__${request.room}\", or ask in when for a claim that says who may)"},
		{name: "no room", spec: func() *rules.Spec {
			s := spec(group, ".*", "lobby")
			s.Rules[0].Grants = []rules.GrantSpec{grant(rules.KindSync, "service_sid", "${request.room}")}
			return s
		}()},
	})
}

func TestLintRules(t *testing.T) {
	two := func(rs ...rules.RuleSpec) *rules.Spec {
		s := lintSpec(rs...)
		s.Issuers = append(s.Issuers, newIssuer(1, "other"))
		s.Issuers[1].Claims = nil
		return s
	}
	anyIssuer := func(r *rules.RuleSpec) { r.AnyIssuer = true }
	ttl := func(ttl time.Duration) func(*rules.RuleSpec) { return func(r *rules.RuleSpec) { r.TTL = ttl } }
	until := func(r *rules.RuleSpec) { r.Expires = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC) }
	global := func(ttl, most time.Duration, s *rules.Spec) *rules.Spec {
		s.TTL, s.MaxTTL = ttl, most
		return s
	}
	const (
		lasts   = ": who loses the connection after that is out of the room [short-ttl] (write ttl: 4h, which is how long a room lasts)"
		renewed = ", and its app is told to renew it 3m before the end [short-ttl] (write ttl: 5m, or more)"
	)
	day := 24 * time.Hour
	lintTests(t, []lintTest{
		{name: "a rule for all issuers", spec: two(grants("true", chat())), want: `rules[0]: rule "r0" is for the people of all 2 issuers [no-issuer] (say whose: issuer: idp, or issuer: any)`},
		{name: "a rule for any issuer, on purpose", spec: two(with(grants("true", chat()), anyIssuer))},
		{name: "a rule for one issuer", spec: two(with(grants("true", chat()), func(r *rules.RuleSpec) { r.Issuers = []string{"idp"} }))},
		{name: "a rule that asks for the issuer", spec: two(grants("issuer == 'idp'", chat()))},
		{name: "a deny for all issuers", spec: two(deny("claims.sub == 'x'"), with(grants("true", chat()), anyIssuer))},
		{name: "a cap for all issuers", spec: two(with(when("claims.sub == 'x'"), ttl(4*time.Hour)), with(grants("true", chat()), anyIssuer))},
		{name: "a rule for the only issuer", when: "true"},

		{name: "a deny that ends", spec: lintSpec(with(deny("claims.sub == 'x'"), until), grants("true", chat())), want: "rules[0].expires: from 2027-01-31 on this refuses nobody [expiring-deny] (leave expires out, and take the rule out once it is over)"},
		{name: "a grant that ends", spec: lintSpec(with(grants("true", chat()), until))},

		{name: "video by default", spec: global(time.Hour, day, lintSpec(grants("true", video("a")))), want: `rules[0].grants.video: a video token of rule "r0" ends after 1h` + lasts},
		{name: "video by a rule's ttl", spec: lintSpec(with(grants("true", video("a")), ttl(90*time.Minute))), want: `rules[0].ttl: a video token of rule "r0" ends after 1h30m` + lasts},
		{name: "video within max_ttl", spec: global(time.Hour, 2*time.Hour, lintSpec(with(grants("true", video("a")), ttl(4*time.Hour)))), want: `rules[0].ttl: a video token of rule "r0" ends after 2h` + lasts},
		{name: "video with a cap for all", spec: lintSpec(grants("'a' in claims.groups", video("a")), with(when("true"), ttl(time.Hour))), want: `rules[1].ttl: a video token of rule "r0" ends after 1h` + lasts},
		{name: "chat", spec: lintSpec(with(grants("true", chat()), ttl(3*time.Minute))), want: `rules[0].ttl: a chat token of rule "r0" ends after 3m` + renewed},
		{name: "sync", spec: lintSpec(with(grants("true", grant(rules.KindSync, "service_sid", "default")), ttl(239*time.Second))), want: `rules[0].ttl: a sync token of rule "r0" ends after 3m59s` + renewed},
		{name: "video with another rule for all", spec: lintSpec(grants("'a' in claims.groups", video("a")), with(grants("true", chat()), ttl(time.Hour))), want: `rules[1].ttl: a video token of rule "r0" ends after 1h` + lasts},
		{name: "video with another rule that wins nothing", spec: lintSpec(grants("'a' in claims.groups", video("a"), chat()), with(grants("true", chat()), ttl(time.Hour)))},
		{name: "video for four hours", spec: global(time.Hour, day, lintSpec(with(grants("true", video("a")), ttl(4*time.Hour))))},
		{name: "video with a longer ttl for all", spec: global(time.Hour, day, lintSpec(with(when("true"), ttl(4*time.Hour)), grants("true", video("a"))))},
		{name: "video with a cap for some", spec: lintSpec(grants("true", video("a")), with(when("'a' in claims.groups"), ttl(time.Hour)))},
		{name: "chat for four minutes", spec: lintSpec(with(grants("true", chat()), ttl(4*time.Minute)))},
		{name: "voice for a minute", spec: lintSpec(with(grants("true", grant(rules.KindVoice, "incoming_allow", true)), ttl(time.Minute)))},
	})
}

func TestLintCrowds(t *testing.T) {
	crowd := func(c rules.Crowd, rs ...rules.RuleSpec) *rules.Spec {
		c.ID, c.Who, c.Hint = "public-issuer", "anybody", "say who"
		s := lintSpec(rs...)
		s.Issuers[0].Crowds = []rules.Crowd{c}
		return s
	}
	public := func(condition string) *rules.Spec { return crowd(rules.Crowd{}, grants(condition, chat())) }
	jobs := rules.Crowd{Claims: []string{"azp", "client", "repository"}, Path: "issuers[0].issuer"}
	const warned = `rules[0].when: rule "r0" grants to anybody [public-issuer] (say who)`
	lintTests(t, []lintTest{
		{name: "everybody", spec: public("true"), want: warned},
		{name: "who is verified", spec: public("claims.email_verified"), want: warned},
		{name: "what they can write", spec: crowd(rules.Crowd{}, grants("has(claims.hd) && claims.aud.size() == 1 && 'room' in request", chat())), want: warned},
		{name: "either way", spec: public("claims.hd == 'example.com' || claims.email_verified"), want: warned},
		{name: "jobs, once", spec: crowd(jobs, grants("claims.vip", chat()), grants("claims.sub == 'x'", video("a"))), want: `issuers[0].issuer: rule "r0" grants to anybody [public-issuer] (say who)`},

		{name: "a domain", spec: public("claims.hd == 'example.com'")},
		{name: "an address", spec: public("claims.email.endsWith('@example.com') && claims.email_verified")},
		{name: "a group", spec: public("'a' in claims.?groups.orValue([])")},
		{name: "a person", spec: public("claims.sub in ['a']")},
		{name: "on purpose", spec: public("claims.sub != ''")},
		{name: "either of two", spec: public("claims.hd == 'a.example' || claims.hd == 'b.example'")},
		{name: "by a requirement", spec: required(public("true"), "claims.hd == 'example.com'")},
		{name: "a deny", spec: crowd(rules.Crowd{}, deny("claims.email_verified == false && has(claims.email_verified)"), grants("claims.sub == 'x'", chat()))},
		{name: "jobs of a repository", spec: crowd(jobs, grants("claims.repository == 'a/b'", chat()))},
		{name: "the client's", spec: crowd(jobs, grants("client == 'app'", chat()), grants("claims.azp == 'app'", video("a")))},
	})
}

func TestLintClaims(t *testing.T) {
	misspelt := func(at, name, near string) string {
		return fmt.Sprintf("rules[0].when `%s`: no claim is known as %q here [misspelt-claim] (did you mean %s? If not, declare it: claims: {%s: string})", at, name, near, name)
	}
	declared := func(name string, s *rules.Spec) *rules.Spec {
		s.Issuers[0].Claims = append(s.Issuers[0].Claims, rules.ClaimSpec{Path: "issuers[0].claims." + name, Name: name, Type: "string"})
		return s
	}
	lintTests(t, []lintTest{
		{when: "claims.emial == 'a'", want: misspelt("emial", "emial", "email")},
		{when: "claims.Groups == 'a'", want: misspelt("Groups", "Groups", "groups")},
		{when: "claims['email_verifed'] == true", want: misspelt("email_verifed", "email_verifed", "email_verified")},
		{when: "claims.emailVerified == true", want: misspelt("emailVerified", "emailVerified", "email_verified")},
		{when: "claims.group == 'a'", want: misspelt("group", "group", "groups")},
		{when: "claims.mail == 'a'"},
		{when: "claims.roles == 'a'"},
		{when: "claims.tid == 'a'"},
		{when: "claims.title == 'a'"},
		{when: "claims.department == 'a'"},
		{name: "a declared one", spec: declared("emial", lintSpec(grants("claims.emial == 'a'", chat())))},

		{name: "nothing reads it", spec: declared("team", lintSpec(grants("true", chat()))), want: "issuers[0].claims.team: nothing reads the claim team of this issuer [unused-claim] (leave it out)"},
		{name: "something else is read", spec: declared("teams", lintSpec(grants("claims.team == 'a'", chat()))), want: "issuers[0].claims.teams: nothing reads the claim teams of this issuer [unused-claim] (the rules read team: did you mean that?)"},
		{name: "a condition reads it", spec: declared("team", lintSpec(grants("claims.team == 'a'", chat())))},
		{name: "a value reads it", spec: declared("team", lintSpec(grants("true", video("${claims.?team.orValue('a')}"))))},
		{name: "the audit log writes it down", spec: func() *rules.Spec {
			s := declared("team", lintSpec(grants("true", chat())))
			s.Audited = []string{"team"}
			return s
		}()},
		{name: "a computed name reads it", spec: declared("team", lintSpec(grants("claims[claims.sub] == 'a'", chat())))},
	})
}

// TestUnreachableNeverWins decides for random people by random rules: a rule
// that is called unreachable never contributes.
func TestUnreachableNeverWins(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	var conjunct func(depth int) string
	conjunct = func(depth int) string {
		claim, value := pick("a", "b"), pick("x", "y")
		if depth > 0 && r.IntN(3) == 0 {
			return "(" + conjunct(depth-1) + pick(" || ", " && ") + conjunct(depth-1) + ")"
		}
		return fmt.Sprintf(pick("claims.%[1]s == '%[2]s'", "claims.%[1]s in ['x', 'y']", "'%[2]s' in claims.%[1]s", "has(claims.%[1]s)", "!(claims.%[1]s == '%[2]s')",
			"claims.?%[1]s.orValue('') == '%[2]s'", "'%[2]s' in claims.?%[1]s.orValue([])", "issuer == 'idp' && '%[2]s' != '%[1]s'", "true || '%[2]s' == '%[1]s'"), claim, value)
	}
	called, won := 0, 0
	for range 600 {
		var rs []rules.RuleSpec
		for range 2 + r.IntN(4) {
			condition := conjunct(1)
			for range r.IntN(3) {
				condition += " && " + conjunct(1)
			}
			if r.IntN(4) == 0 {
				rs = append(rs, deny(condition))
			} else {
				rs = append(rs, grants(condition, [][]rules.GrantSpec{{chat()}, {video("a")}, {chat(), video("b")}}[r.IntN(3)]...))
			}
		}
		set, faults := rules.Prove(lintSpec(rs...))
		if set == nil {
			t.Fatal(faults)
		}
		unreachable := map[string]bool{}
		for _, f := range faults {
			if f.ID == "unreachable-rule" {
				unreachable["r"+f.Path[len("rules["):strings.IndexByte(f.Path, ']')]] = true
				called++
			}
		}
		for range 20 {
			claims := rules.Claims{}
			for _, name := range []string{"a", "b"} {
				if v := []any{nil, "x", "y", "z", []any{"x"}, []any{"y", "z"}, int64(1)}[r.IntN(7)]; v != nil {
					claims[name] = v
				}
			}
			d, err := set.Decide(input(claims), nil)
			if err != nil {
				continue
			}
			won++
			if i := slices.IndexFunc(d.Rules, func(name string) bool { return unreachable[name] }); i >= 0 {
				t.Fatalf("%s wins with %v, and was called unreachable: %v", d.Rules[i], claims, faults)
			}
		}
	}
	if called < 100 || won < 1000 {
		t.Errorf("%d rules unreachable, %d decisions: too few to tell", called, won)
	}
}

// TestUndecidedDeny evaluates random deny rules with a claim absent and every
// other there, as text: one that comes out undecided must have been warned of.
func TestUndecidedDeny(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	var expr func(depth int) string
	expr = func(depth int) string {
		claim := pick("a", "b")
		if depth > 0 {
			switch r.IntN(5) {
			case 0:
				return expr(depth-1) + " && " + expr(depth-1)
			case 1:
				return "(" + expr(depth-1) + " || " + expr(depth-1) + ")"
			case 2:
				return "!(" + expr(depth-1) + ")"
			case 3:
				return "(" + expr(depth-1) + " ? " + expr(depth-1) + " : " + expr(depth-1) + ")"
			}
		}
		return fmt.Sprintf(pick("claims.%[1]s == 'x'", "claims.%[1]s != 'x'", "has(claims.%[1]s)", "'%[1]s' in claims", "claims.?%[1]s.orValue('') == 'x'",
			"claims.?%[1]s.hasValue()", "claims.%[1]s.startsWith('x')", "['x'].exists(v, v == claims.%[1]s)", "'a' == '%[1]s'"), claim)
	}
	warned := 0
	for range 1000 {
		condition := expr(3)
		set, faults := rules.Prove(lintSpec(deny(condition), grants("true", chat())))
		if set == nil {
			t.Fatal(condition, faults)
		}
		said := slices.ContainsFunc(faults, func(f rules.Fault) bool { return f.ID == "undecided-deny" })
		if said {
			warned++
		}
		failed := false
		for _, value := range []string{"x", "y"} {
			for _, claims := range []rules.Claims{{"a": value}, {"b": value}} {
				_, err := set.Decide(input(claims), nil)
				failed = failed || rules.ReasonOf(err) == rules.RuleFailed
			}
		}
		if failed && !said {
			t.Errorf("nothing says that this is undecided: %s", condition)
		}
	}
	if warned < 100 {
		t.Errorf("%d warnings: too few to tell", warned)
	}
}
