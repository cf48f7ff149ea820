package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// proofs returns what the proofs say of a spec, a line each.
func proofs(t testing.TB, s *rules.Spec) string {
	t.Helper()
	_, faults := rules.Prove(s)
	var lines []string
	for _, f := range faults {
		if !f.Warning || f.ID == "insecure" { // the others are lints
			lines = append(lines, fmt.Sprintf("%s: %s [%s]", f.Path, f.Message, f.ID))
		}
	}
	return strings.Join(lines, "\n")
}

func TestIdentityProof(t *testing.T) {
	// identity is a spec of one issuer whose people get this identity.
	identity := func(value string) *rules.Spec {
		s := newSpec(grants("true", chat()))
		s.Issuers[0].Identity.Source = value
		s.Issuers[0].Claims = append(s.Issuers[0].Claims, rules.ClaimSpec{Path: "issuers[0].claims.tenant", Name: "tenant", Type: "string"})
		return s
	}
	// persons are told apart by other claims than sub.
	persons := func(value string, sets ...[]string) *rules.Spec {
		s := identity(value)
		s.Issuers[0].Persons = sets
		s.Issuers[0].Policy.IssuerIDs = []string{"https://idp.example/a", "https://idp.example/b"}
		return s
	}
	// two issuers have these identities.
	two := func(a, b string) *rules.Spec {
		s := identity(a)
		s.Issuers = append(s.Issuers, newIssuer(1, "other"))
		s.Issuers[1].Identity.Source = b
		return s
	}
	// ruled has rules that set identities, each for a condition.
	ruled := func(pairs ...string) *rules.Spec {
		var rs []rules.RuleSpec
		for i := 0; i < len(pairs); i += 2 {
			rs = append(rs, with(grants(pairs[i], chat()), func(r *rules.RuleSpec) { r.Identity.Source = pairs[i+1] }))
		}
		return newSpec(rs...)
	}
	const (
		noSub   = "issuers[0].identity: different people can get one identity: it does not tell sub [identity-not-unique]"
		rule0   = "rules[0].identity: different people can get one identity: it does not tell sub [identity-not-unique]"
		noBegin = ": where one value ends and the next begins cannot be told [identity-not-unique]"
	)
	for _, test := range []struct {
		name string
		spec *rules.Spec
		want string
	}{
		{"sub as it is", identity("${claims.sub}"), ""},
		{"sub by its name", identity("u-${claims['sub']}-x"), ""},
		{"sub escaped", identity("idp__${escape(claims.sub)}"), ""},
		{"sub escaped twice", identity("${escape(escape(claims.sub))}"), ""},
		{"a pseudonym", identity("p${pseudonym(claims.sub)}"), ""},
		{"a pseudonym of more", identity("${pseudonym(escape(claims.tenant) + '/' + claims.sub)}"), ""},
		{"a concatenation", identity("${'idp_' + escape(claims.sub)}"), ""},
		{"an escaped concatenation", identity("${escape('idp|' + claims.sub)}"), ""},
		{"either way", identity("${has(claims.tenant) ? 'a_' + escape(claims.sub) : 'b_' + escape(claims.sub)}"), ""},
		{"the same either way", identity("${has(claims.tenant) ? escape(claims.sub) : escape(claims.sub)}"), ""},
		{"a default that is never used", identity("${escape(claims.?sub.orValue('nobody'))}"), "issuers[0].identity: different people can get one identity: it does not tell sub [identity-not-unique]"},
		{"what is longer than what is fixed", identity("${issuer}_${escape(claims.sub)}"), ""},
		{"tenant before sub, apart", identity("${escape(claims.tenant)}__${escape(claims.sub)}"), ""},
		{"tenant before sub, by another character", identity("${escape(claims.tenant)}.${claims.sub}"), ""},
		{"a level before sub", identity("${claims.level}:${claims.sub}"), ""},
		{"a pseudonym before sub", identity("${pseudonym(claims.tenant)}${claims.sub}"), ""},
		{"client before sub", identity("${client}_${claims.sub}"), ""},
		{"a platform before sub", identity("${request.platform}${escape(claims.sub)}"), ""},

		{"nobody in it", identity("support"), noSub},
		{"a name", identity("${escape(claims.name)}"), noSub},
		{"an address", identity("idp_${escape(claims.email)}"), noSub},
		{"the first part of an address", identity("${claims.email.split('@')[0]}"), noSub},
		{"a case lost", identity("${claims.sub.lowerAscii()}"), noSub},
		{"a prefix taken away", identity("${claims.sub.replace('auth0|', '')}"), noSub},
		{"a length", identity("u${size(claims.sub)}"), noSub},
		{"a claim that is text or a number", persons("${claims.uid}", []string{"uid"}), "issuers[0].identity: different people can get one identity: it does not tell uid [identity-not-unique]"},
		{"a claim that must be text there", persons("${escape(claims.uid)}", []string{"uid"}), ""},
		{"a number", persons("${claims.level}", []string{"level"}), ""},
		{"one of two ways", identity("${has(claims.tenant) ? escape(claims.sub) : 'guest'}"), noSub},
		{"tenant and sub run together", identity("${escape(claims.tenant)}${escape(claims.sub)}"), `issuers[0].identity: different people can get one identity, such as "aa"` + noBegin},
		{"tenant and sub by what both write", identity("${escape(claims.tenant)}_${escape(claims.sub)}"), `issuers[0].identity: different people can get one identity, such as "_20_20"` + noBegin},
		{"tenant and sub as they are", identity("${claims.tenant}-${claims.sub}"), `issuers[0].identity: different people can get one identity, such as "--a"` + noBegin},
		{"a pseudonym of what runs together", identity("${pseudonym(claims.tenant + claims.sub)}"), noSub},
		{"a pseudonym either way", identity("${pseudonym(has(claims.tenant) ? claims.tenant : claims.sub)}"), noSub},

		{"of many issuers by sub alone", persons("${claims.sub}", []string{"iss", "sub"}), "issuers[0].identity: different people can get one identity: it does not tell iss and sub [identity-not-unique]"},
		{"of many issuers by both", persons("${escape(claims.iss)}__${escape(claims.sub)}", []string{"iss", "sub"}), ""},
		{"of many issuers by a pseudonym, which has the issuer in it", persons("${pseudonym(claims.sub)}", []string{"iss", "sub"}), ""},
		{"by the second of two sets", persons("${escape(claims.iss)}__${escape(claims.sub)}", []string{"tid", "oid"}, []string{"iss", "sub"}), ""},
		{"by a part of each of two sets", persons("${escape(claims.tid)}__${escape(claims.sub)}", []string{"tid", "oid"}, []string{"iss", "sub"}),
			"issuers[0].identity: different people can get one identity: it does not tell tid and oid, or iss and sub [identity-not-unique]"},

		{"two issuers with their names", two("idp__${escape(claims.sub)}", "other__${escape(claims.sub)}"), ""},
		{"two issuers with pseudonyms", two("${pseudonym(claims.sub)}", "${pseudonym(claims.sub)}"), ""},
		{"two issuers with pseudonyms at two places", two("a${pseudonym(claims.sub)}", "${pseudonym(claims.sub)}a"), `issuers[1].identity: somebody of another issuer can get this identity from issuer "idp", such as "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" [identity-overlap]`},
		{"two issuers alike", two("${escape(claims.sub)}", "${escape(claims.sub)}"), `issuers[1].identity: somebody of another issuer can get this identity from issuer "idp", such as "a" [identity-overlap]`},
		{"two issuers of which one's name begins the other's", two("a_${escape(claims.sub)}", "a_b_${escape(claims.sub)}"), `issuers[1].identity: somebody of another issuer can get this identity from issuer "idp", such as "a_b_20" [identity-overlap]`},
		{"the same, with two underscores at the end", two("a__${escape(claims.sub)}", "a_b__${escape(claims.sub)}"), ""},
		{"an issuer's own word at the end", two("${escape(claims.sub)}__a", "${escape(claims.sub)}__b"), ""},
		{"one in upper case", two("A_${escape(claims.sub)}", "a_${escape(claims.sub)}"), ""},

		{"two rules alike", ruled("'a' in claims.groups", "r_${escape(claims.sub)}", "true", "r_${escape(claims.sub)}"), ""},
		{"two rules apart", ruled("'a' in claims.groups", "agent__${escape(claims.sub)}", "true", "r_${escape(claims.sub)}"), ""},
		{"two rules that write sub in two ways", ruled("'a' in claims.groups", "r_${escape(claims.sub)}", "true", "r_${claims.sub}"), `rules[1].identity: somebody else can get this identity from rule "r0", such as "r_a" [identity-overlap]`},
		{"a rule against its issuer", ruled("'a' in claims.groups", "idp_x${escape(claims.sub)}"), `rules[0].identity: somebody else can get this identity from issuer "idp", such as "idp_xa" [identity-overlap]`},
		{"unknown expressions are not one", ruled("claims.team == 'a'", "${claims.level * 2}_${escape(claims.sub)}", "true", "${claims.groups[0]}_${escape(claims.sub)}"),
			`rules[1].identity: different people can get one identity, such as "__20"` + noBegin},
		{"a pseudonym under two conditions", ruled("claims.team == 'x'", "p__${pseudonym(claims.team + claims.sub)}", "claims.team == 'xy'", "p__${pseudonym(claims.team + claims.sub)}"),
			`rules[1].identity: somebody else can get this identity from rule "r0", such as "p__aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" [identity-overlap]`},
		{"an issuer that somebody answers for", func() *rules.Spec {
			s := two("${escape(claims.sub)}", "${escape(claims.sub)}")
			s.Issuers[1].InsecureIdentity = true
			return s
		}(), `issuers[1].identity: somebody of another issuer can get this identity from issuer "idp", such as "a", and insecure_identity says that this is safe [insecure]`},
		{"the other one", func() *rules.Spec {
			s := two("${escape(claims.sub)}", "${escape(claims.sub)}")
			s.Issuers[0].InsecureIdentity = true
			return s
		}(), `issuers[0].identity: somebody of another issuer can get this identity from issuer "other", such as "a", and insecure_identity says that this is safe [insecure]`},
		{"a rule for one person", ruled("claims.sub == 'a1'", "boss"), rule0},
		{"a rule that knows who it is for", ruled("claims.sub == 'a1'", "boss__${escape(claims.sub)}"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, proofs(t, test.spec)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestJoinProof(t *testing.T) {
	room := func(condition, value string) *rules.Spec {
		s := newSpec(grants(condition, video(value)))
		s.Issuers[0].Claims = append(s.Issuers[0].Claims, rules.ClaimSpec{Path: "issuers[0].claims.tenant", Name: "tenant", Type: "string"})
		return s
	}
	for _, test := range []struct {
		name string
		spec *rules.Spec
		want string
	}{
		{"one claim", room("true", "support-${claims.tenant}"), ""},
		{"one claim of any type", room("true", "support-${claims.team}"), ""},
		{"escaped", room("true", "${escape(claims.tenant)}-${request.room}"), ""},
		{"a platform, which has no hyphen", room("true", "${request.platform}-${request.room}"), ""},
		{"a tenant that is one of two", room("claims.tenant in ['acme', 'globex']", "${claims.tenant}-${request.room}"), ""},
		{"a tenant without a hyphen", room("claims.tenant.matches('^[a-z]+$')", "${claims.tenant}-${request.room}"), ""},
		{"either of two", room("true", "${has(claims.tenant) ? claims.tenant : request.room}"), ""},
		{"by a slash, which rooms asked for have not", room("true", "${claims.tenant}/${request.room}"), ""},

		{"as they are", room("true", "${claims.tenant}-${request.room}"), `rules[0].grants.video.room: different values of claims.tenant and request.room can give the same text, such as "---" [ambiguous-join]`},
		{"a pattern that is not anchored", room("claims.tenant.matches('[a-z]+')", "${claims.tenant}-${request.room}"), `rules[0].grants.video.room: different values of claims.tenant and request.room can give the same text, such as "---" [ambiguous-join]`},
		{"a pattern that is anchored on one side of an or", room("claims.tenant.matches('^[a-z]+$|x')", "${claims.tenant}-${request.room}"), `rules[0].grants.video.room: different values of claims.tenant and request.room can give the same text, such as "---" [ambiguous-join]`},
		{"a tenant with a hyphen among them", room("claims.tenant in ['acme', 'acme-eu']", "${claims.tenant}-${request.room}"), `rules[0].grants.video.room: different values of claims.tenant and request.room can give the same text, such as "acme-eu--" [ambiguous-join]`},
		{"two untyped claims added", room("true", "${claims.a + claims.b}"), "rules[0].grants.video.room: different values of claims.a and claims.b can give the same text: what claims.a + claims.b does with them cannot be told [ambiguous-join]"},
		{"joined as a list", room("true", "${[claims.tenant, request.room].join('-')}"), `rules[0].grants.video.room: different values of claims.tenant and request.room can give the same text: what [claims.tenant, request.room].join("-") does with them cannot be told [ambiguous-join]`},
		{"put into a format", room("true", "${'%s-%s'.format([claims.tenant, request.room])}"), `rules[0].grants.video.room: different values of claims.tenant and request.room can give the same text: what "%s-%s".format([claims.tenant, request.room]) does with them cannot be told [ambiguous-join]`},
		{"put in by replacing", room("true", "${claims.tenant.replace('x', request.room)}"), `rules[0].grants.video.room: different values of claims.tenant and request.room can give the same text: what claims.tenant.replace("x", request.room) does with them cannot be told [ambiguous-join]`},
		{"run together", room("true", "${claims.tenant}${claims.sub}"), `rules[0].grants.video.room: different values of claims.tenant and claims.sub can give the same text, such as "aa" [ambiguous-join]`},
		{"the other of two escaped, which has no capital D but in a code", room("true", "${claims.tenant}_${escape(request.room)}"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, proofs(t, test.spec)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNothingProvenCollides lets the proofs judge random identities, and for
// those that they take for one-to-one, looks for two people who get one.
func TestNothingProvenCollides(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	var text func(depth int) string // an expression that is text
	text = func(depth int) string {
		if depth == 0 {
			return pick("claims.sub", "claims.sub", "claims.sub", "claims.tenant", "claims.name", "claims.uid", "request.room", "request.platform", "'a'", "'_'", "'__'", "'-'", "issuer", "claims.?tenant.orValue('a')", "claims.?name.orValue(claims.sub)")
		}
		switch r.IntN(9) {
		case 0, 1, 2:
			return "escape(" + text(depth-1) + ")"
		case 3:
			return "pseudonym(" + text(depth-1) + ")"
		case 4:
			return text(depth-1) + " + " + text(depth-1)
		case 5:
			return "(has(claims.tenant) ? " + text(depth-1) + " : " + text(depth-1) + ")"
		case 6:
			return "(claims.sub == 'a' ? " + text(depth-1) + " : " + text(depth-1) + ")"
		case 7:
			return text(depth-1) + pick(".lowerAscii()", ".substring(1)", ".replace('_', '')")
		}
		return text(depth - 1)
	}
	identity := func() string {
		var b strings.Builder
		for range 1 + r.IntN(3) {
			b.WriteString(pick("", "a", "b", "_", "__", "-", "a_", "a__"))
			b.WriteString("${" + text(r.IntN(3)) + "}")
		}
		b.WriteString(pick("", "", "a", "__b"))
		return b.String()
	}
	value := func() string {
		const alphabet = "ab_-5F"
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	condition := func() string {
		return pick("true", "claims.tenant in ['a', 'b']", "claims.tenant == 'a_'", "claims.name.matches('^[ab]+$')", "claims.tenant.matches('^(a|b_)$')", "claims.uid == 'a'")
	}
	// collision looks for two people who get one identity of s.
	pairs := 0
	collision := func(s *rules.Spec, set *rules.Set) string {
		seen := map[string]string{} // who has an identity
		for range 60 {
			in := input(rules.Claims{"sub": value()})
			in.Issuer = s.Issuers[r.IntN(len(s.Issuers))].Name
			in.IssuerID = "https://" + in.Issuer + ".example/"
			for _, name := range []string{"tenant", "name", "uid"} {
				if r.IntN(3) > 0 {
					in.Claims[name] = value()
				}
			}
			if r.IntN(3) == 0 {
				in.Claims["uid"] = int64(5)
			}
			in.Request = map[string]string{"room": pick("a", "b", "_", "-", "ab", "a_", "__"), "platform": pick("ios", "web")}
			d, err := set.Decide(in, nil)
			if err != nil {
				continue
			}
			pairs += len(seen)
			who := fmt.Sprintf("%s of %s", in.Claims["sub"], in.Issuer)
			if other, ok := seen[d.Identity]; ok && other != who {
				return fmt.Sprintf("%s and %s both get %q", other, who, d.Identity)
			}
			seen[d.Identity] = who
		}
		return ""
	}
	want := 100_000
	if testing.Short() {
		want = 5_000
	}
	templates, proven, collisions := 0, 0, 0
	for pairs < want {
		var rs []rules.RuleSpec
		for range r.IntN(3) {
			rs = append(rs, with(grants(condition(), chat()), func(rule *rules.RuleSpec) { rule.Identity.Source = identity() }))
		}
		s := newSpec(append(rs, grants("true", chat()))...)
		s.Parameters[0].Pattern = "[ab_-]{1,3}"
		s.Issuers = append(s.Issuers, newIssuer(1, "a"))[:1+r.IntN(2)]
		for i := range s.Issuers {
			s.Issuers[i].Identity.Source = identity()
			s.Issuers[i].Claims = append(s.Issuers[i].Claims, rules.ClaimSpec{Path: "c", Name: "tenant", Type: "string"})
		}
		templates += len(s.Issuers) + len(rs)
		if set, _ := rules.Prove(s); set != nil {
			proven++
			if found := collision(s, set); found != "" {
				t.Fatalf("%s by %s", found, texts(s))
			}
			continue
		}
		if collisions > proven { // for every proof, one that fails is searched, too
			continue
		}
		for i := range s.Issuers {
			s.Issuers[i].InsecureIdentity = true
		}
		for i := range s.Rules {
			s.Rules[i].InsecureIdentity = true
		}
		set, faults := rules.Prove(s)
		if set == nil {
			t.Fatalf("%v of %s", faults, texts(s))
		}
		if collision(s, set) != "" {
			collisions++
		}
	}
	t.Logf("%d templates, %d sets proven, %d collisions found in others, %d pairs of people", templates, proven, collisions, pairs)
	if proven < 20 || collisions < 20 {
		t.Error("too few to believe it")
	}
}

// texts returns the identities of a spec, each with its condition.
func texts(s *rules.Spec) string {
	var all []string
	for _, is := range s.Issuers {
		all = append(all, is.Identity.Source)
	}
	for _, rule := range s.Rules {
		all = append(all, rule.When.Source+": "+rule.Identity.Source)
	}
	return strings.Join(all, "\n")
}

func TestVoiceIdentities(t *testing.T) {
	voice := grant(rules.KindVoice, "incoming_allow", true)
	named := func(r rules.RuleSpec, identity string) rules.RuleSpec {
		r.Identity.Source = identity
		return r
	}
	of := func(identity string, rs ...rules.RuleSpec) *rules.Spec {
		s := newSpec(rs...)
		s.Issuers[0].Identity.Source = identity
		return s
	}
	const fault = ` grants voice, which takes identities of A-Z, a-z, 0-9 and _ alone, and this can have others in it [voice-identity]`
	for _, test := range []struct {
		name string
		spec *rules.Spec
		want string
	}{
		{"escaped", of("u_${escape(claims.sub)}", grants("true", voice)), ""},
		{"a pseudonym", of("${pseudonym(claims.sub)}", grants("true", voice)), ""},
		{"sub as it is, without voice", of("${claims.sub}", grants("true", chat())), ""},
		{"sub of a pattern", of("${claims.sub}", grants("claims.sub.matches('^[a-z0-9]+$')", voice)), ""},
		{"a rule's own, in voice", of("-${claims.sub}", named(grants("true", voice), "u__${escape(claims.sub)}")), ""},
		{"another rule's, for others", of("u__${escape(claims.sub)}", named(grants("claims.org == 'a'", chat()), "u-${claims.sub}"), grants("claims.org == 'b'", voice)), ""},
		{"a later rule's, when the first has its own", of("u__${escape(claims.sub)}", named(grants("true", voice), "v__${escape(claims.sub)}"), named(grants("true", chat()), "u-${claims.sub}")), ""},

		{"sub as it is", of("${claims.sub}", grants("true", voice)), `issuers[0].identity: rule "r0"` + fault},
		{"a hyphen", of("u-${escape(claims.sub)}", grants("true", voice)), `issuers[0].identity: rule "r0"` + fault},
		{"a rule's own", of("u__${escape(claims.sub)}", named(grants("true", voice), "v-${escape(claims.sub)}")), `rules[0].identity: rule "r0"` + fault},
		{"another rule's, before", of("u__${escape(claims.sub)}", named(grants("true", chat()), "v-${escape(claims.sub)}"), grants("true", voice)), `rules[0].identity: rule "r1"` + fault},
		{"another rule's, behind", of("u__${escape(claims.sub)}", grants("true", voice), named(grants("true", chat()), "v-${escape(claims.sub)}")), `rules[1].identity: rule "r0"` + fault},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, proofs(t, test.spec)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
