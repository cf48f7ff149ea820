package exchange_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// newAdmin starts the admin listener of a site.
func (s *site) newAdmin(t testing.TB) *site {
	t.Helper()
	server := httptest.NewServer(s.AdminHandler())
	t.Cleanup(server.Close)
	return &site{url: server.URL}
}

// decision returns the body of a decision's answer, indented.
func (s *site) decision(t testing.TB, traceID string) string {
	t.Helper()
	text := s.send(t, "GET", "/decisions/"+traceID, nil, "")
	_, body, ok := strings.Cut(text, "\n\n")
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(body), "", " "); !ok || err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return indented.String()
}

// forAdmin is an answer's text as the admin listener has it.
func forAdmin(text string) string { return strings.Replace(text, "Vary: Origin\n", "", 1) }

// fewRules is siteConfig with rules whose trace is short.
var fewRules = strings.Replace(siteConfig[:strings.Index(siteConfig, "\nrules:\n")], "audit: {", "audit: {claims: [level, request.room], ", 1) + `
rules:
  - name: suspended
    when: "'suspended' in claims.?groups.orValue([])"
    deny: account suspended
  - name: staff
    when: "'staff' in claims.groups && claims.level > 5"
    ttl: 4h
    grants:
      chat: {service_sid: IS0123456789abcdef0123456789abcdef}
  - name: everyone
    issuer: partner
    when: "true"
    grants:
      sync: {service_sid: default}
`

// expired are the claims of a token that was good.
var expired = m{"iat": siteTime.Unix() - 3600, "exp": siteTime.Unix() - 61}

// TestDecision holds the whole of what operators see of a request.
func TestDecision(t *testing.T) {
	t.Parallel()
	audit := &failing{}
	s := newSite(t, fewRules, func(o *exchange.Options) { o.Audit = audit })
	admin := s.newAdmin(t)
	stranger := exchangetest.NewKey(t, "ES256", "k1")

	// record is a decision's answer: more is what stands behind the fields that
	// every one has.
	record := func(issuer, subject, client, rules, more string) string {
		return fmt.Sprintf(`{
 "time": "2026-05-28T20:26:40Z",
 "trace_id": "%s",
 "config": "%s",
 "issuer": "%s",
 "subject_hash": "%s",
 "client": "%s",
 "address": "127.0.0.1",
 "rules": [%s],
%s
}
`, siteTraceID, s.hash, issuer, subject, client, rules, more)
	}
	verified := func(rules, more string) string {
		return record("idp", subjectHash("https://idp.example.com", "auth0|1"), "app", rules, more)
	}
	early := func(issuer, reason, detail, kid string) string {
		if kid != "" {
			kid = ",\n \"kid\": " + toJSON(kid)
		}
		return record(issuer, "", "", "", fmt.Sprintf(` "outcome": "refused",
 "reason": "%s",
 "detail": "%s",
 "verified": false%s`, reason, detail, kid))
	}
	claimTypes := func(more string) string {
		return ` "verified": true,
 "claim_types": {
  "aud": "string",
  "exp": "int",
` + more + `  "iat": "int",
  "iss": "string",
` // and what is behind sub
	}
	const require = ` "trace": {
  "require": [
   {
    "path": "issuers[0].require[0]",
    "verdict": "matched",
    "conjuncts": [
     {
      "text": "!('guest' in claims.?groups.orValue([]))",
      "verdict": "matched",
      "reads": [
       {
        "kind": "claim",
        "name": "groups"
       }
      ]
     }
    ]
   }
  ],
  "rules": [
`
	suspended := func(verdict, why string) string {
		return `   {
    "name": "suspended",
    "path": "rules[0]",
    "deny": true,
    "verdict": "` + verdict + `",
` + why + `    "conjuncts": [
     {
      "text": "'suspended' in claims.?groups.orValue([])",
      "verdict": "` + verdict + `",
      "reads": [
       {
        "kind": "claim",
        "name": "groups"
       }
      ]
     }
    ]
   },
   {
    "name": "staff",
    "path": "rules[1]",
    "sets": [
     "ttl",
     "chat"
    ],
`
	}

	for _, test := range []struct {
		name, token string
		params      []string
		want        string
	}{
		{"granted", s.token(m{"groups": []string{"staff"}, "level": 9007199254740993, "https://acme.com/team": nil, "nested": m{"a": 1}}), []string{"room", "blue", "platform", "ios"},
			verified(`
  "staff"
 `, ` "outcome": "granted",
 "grants": [
  "chat"
 ],
 "ttl": 14400,
 "jti": "SK0123456789abcdef0123456789abcdef-`+zerosID+`",
 "claims": {
  "level": 9007199254740993
 },
 "request": {
  "room": "blue"
 },
`+claimTypes("  \"groups\": \"list\",\n")+`  "level": "int",
  "nested": "object",
  "sub": "string"
 },
 "parameters": [
  "platform",
  "room"
 ]`)},
		{"denied", s.token(m{"groups": []string{"suspended"}}), nil, verified("", ` "outcome": "refused",
 "reason": "denied",
 "detail": "rule \"suspended\" denies: account suspended",
`+claimTypes("  \"groups\": \"list\",\n")+`  "sub": "string"
 },
 "parameters": [
  "platform"
 ],
`+require+suspended("matched", `    "why": "account suspended",
`)+`    "verdict": "not reached"
   }
  ]
 }`)},
		{"no rule", s.token(m{"level": 5.5, "extra": true}), nil, verified("", ` "outcome": "refused",
 "reason": "no_rule",
 "detail": "no rule that matches grants anything",
 "claims": {
  "level": 5.5
 },
`+claimTypes("  \"extra\": \"bool\",\n")+`  "level": "double",
  "sub": "string"
 },
 "parameters": [
  "platform"
 ],
`+require+suspended("not matched", "")+`    "verdict": "undecided",
    "why": "claim \"level\" is not of type int",
    "conjuncts": [
     {
      "text": "'staff' in claims.groups",
      "verdict": "undecided",
      "why": "claim \"groups\" is absent",
      "reads": [
       {
        "kind": "claim",
        "name": "groups"
       }
      ]
     },
     {
      "text": "claims.level \u003e 5",
      "verdict": "undecided",
      "why": "claim \"level\" is not of type int",
      "reads": [
       {
        "kind": "claim",
        "name": "level"
       }
      ]
     }
    ]
   }
  ]
 }`)},

		{"forged", stranger.Token(claims(nil)), nil, early("idp", "bad_signature", "the key that it names did not make the signature", "k1")},
		{"expired", s.token(expired), nil, early("idp", "token_expired", "exp has passed", "k1")},
		{"another issuer", s.token(m{"iss": "https://other.example"}), nil, early("", "unknown_issuer", "iss is not a configured issuer's", "k1")},
		{"no token", "x", nil, early("", "malformed_token", "it has not three parts", "")},
		{"parameter", s.token(nil), []string{"room", "/"}, early("", "invalid_parameter", "the parameter room has a value that is not allowed", "")},
		{"request", s.token(nil), []string{"actor_token", "x"}, early("", "malformed_request", "actor tokens are not supported", "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.post(t, form(test.token, test.params...))
			if diff := cmp.Diff(test.want, admin.decision(t, siteTraceID)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("origin of another issuer", func(t *testing.T) {
		token := s.token(m{"iss": "https://partner.example.com/"})
		s.send(t, "POST", "/token", headers("Origin", appOrigin, "Authorization", "Bearer "+token), "")
		want := record("partner", subjectHash("https://partner.example.com/", "auth0|1"), "app", "", ` "outcome": "refused",
 "reason": "origin_not_allowed",
 "detail": "the issuer does not list this origin",
`+claimTypes("")+`  "sub": "string"
 },
 "parameters": [
  "platform"
 ]`)
		if diff := cmp.Diff(want, admin.decision(t, siteTraceID)); diff != "" {
			t.Errorf("decision (-want +got):\n%s", diff)
		}
	})

	// What the caller was told is what is remembered, although it would have been
	// granted.
	t.Run("audit unavailable", func(t *testing.T) {
		audit.full = true
		s.post(t, form(s.token(m{"groups": []string{"staff"}, "level": 6})))
		want := verified(`
  "staff"
 `, ` "outcome": "refused",
 "reason": "audit_unavailable",
 "detail": "the audit line could not be written",
 "grants": [
  "chat"
 ],
 "ttl": 14400,
 "claims": {
  "level": 6
 },
`+claimTypes("  \"groups\": \"list\",\n")+`  "level": "int",
  "sub": "string"
 },
 "parameters": [
  "platform"
 ]`)
		if diff := cmp.Diff(want, admin.decision(t, siteTraceID)); diff != "" {
			t.Errorf("decision (-want +got):\n%s", diff)
		}
	})

	t.Run("unknown", func(t *testing.T) {
		if diff := cmp.Diff(notKept, admin.send(t, "GET", "/decisions/"+zerosID, nil, "")); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
}

// TestPlainDecision has what audit.subjects: plain lets operators see.
func TestPlainDecision(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(siteConfig, "audit: {", "audit: {subjects: plain, ", 1), nil)
	s.post(t, form(s.token(nil)))
	got := s.newAdmin(t).decision(t, siteTraceID)
	if !strings.Contains(got, ` "sub": "auth0|1",`) || !strings.Contains(got, ` "identity": "idp__auth0_7C1",`) {
		t.Errorf("decision: %s", got)
	}
}

// TestDecisions has the list, the latest first.
func TestDecisions(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	admin := s.newAdmin(t)
	list := func(query string) string { return admin.send(t, "GET", "/decisions"+query, nil, "") }
	if diff := cmp.Diff(noDecisions, list("")); diff != "" {
		t.Errorf("before any (-want +got):\n%s", diff)
	}

	ids := []string{"11111111111111111111111111111111", "22222222222222222222222222222222", "33333333333333333333333333333333", "44444444444444444444444444444444"}
	for i, token := range []string{s.token(nil), "x", s.token(m{"groups": []string{"suspended"}}), s.token(expired)} {
		s.send(t, "POST", "/token", headers("Traceparent", "00-"+ids[i]+"-b7ad6b7169203331-01", "Authorization", "Bearer "+token), "")
		s.clock.Advance(time.Second)
	}
	item := func(i int, rest string) string {
		return fmt.Sprintf(`{"time":"2026-05-28T20:26:4%dZ","trace_id":%q,%s}`, i, ids[i], rest)
	}
	first := item(0, `"issuer":"idp","verified":true,"outcome":"granted"`)
	second := item(1, `"issuer":"","verified":false,"outcome":"refused","reason":"malformed_token"`)
	third := item(2, `"issuer":"idp","verified":true,"outcome":"refused","reason":"denied"`)
	fourth := item(3, `"issuer":"idp","verified":false,"outcome":"refused","reason":"token_expired"`)
	bad := forAdmin(malformed(400, "limit is not a number from 1 to 2000"))
	for query, want := range map[string]string{
		"":            forAdmin(answerWith(200, `{"decisions":[`+fourth+","+third+","+second+","+first+`]}`)),
		"?limit=2":    forAdmin(answerWith(200, `{"decisions":[`+fourth+","+third+`]}`)),
		"?limit=2000": forAdmin(answerWith(200, `{"decisions":[`+fourth+","+third+","+second+","+first+`]}`)),
		"?limit=0":    bad,
		"?limit=2001": bad,
		"?limit=x":    bad,
	} {
		if diff := cmp.Diff(want, list(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// TestDecisionsLast has one more than fit in, of each kind: the first of them
// is gone, the second is not, and neither kind pushes the other out.
func TestDecisionsLast(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	admin := s.newAdmin(t)
	id := func(kind, n int) string { return fmt.Sprintf("%08x%024x", kind, n+1) }
	send := func(kind, n int, token string) {
		s.send(t, "POST", "/token", headers("Traceparent", "00-"+id(kind, n)+"-b7ad6b7169203331-01", "Authorization", "Bearer "+token), "")
	}
	good := s.token(nil)
	for n := range 1001 {
		send(1, n, good)
	}
	for n := range 1001 {
		send(2, n, "x")
	}
	for kind := 1; kind <= 2; kind++ {
		for n, want := range map[int]string{0: "404", 1: "200", 1000: "200"} {
			if got, _, _ := strings.Cut(admin.send(t, "GET", "/decisions/"+id(kind, n), nil, ""), "\n"); got != want {
				t.Errorf("kind %d, number %d: %s, want %s", kind, n, got, want)
			}
		}
	}
	if got := strings.Count(admin.send(t, "GET", "/decisions?limit=2000", nil, ""), `"trace_id"`); got != 2000 {
		t.Errorf("the list has %d", got)
	}
	if got := strings.Count(admin.send(t, "GET", "/decisions", nil, ""), `"trace_id"`); got != 100 {
		t.Errorf("the list has %d unless asked for more", got)
	}
}

// TestDecisionsLeakNothing looks in what operators see for pieces of what
// requests hold, but for the claims that the configuration lists.
func TestDecisionsLeakNothing(t *testing.T) {
	t.Parallel()
	for _, listed := range []string{"", "email", "groups"} {
		t.Run("audit.claims: "+listed, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, strings.Replace(siteConfig, "audit: {", "audit: {claims: ["+listed+"], ", 1), nil)
			admin := s.newAdmin(t)
			g := &leakGenerator{Rand: rand.New(rand.NewPCG(3, 4)), site: s,
				stranger: exchangetest.NewKey(t, "ES256", "k1"), unnamed: exchangetest.NewKey(t, "ES256", "k9")}
			outcomes := map[string]int{}
			for n := range 700 {
				g.secrets = secrets{}
				for _, secret := range []string{mainSecret, dublinSecret, auditKey} {
					g.secrets.add("a secret of the configuration", secret)
				}
				header, body := g.request()
				s.send(t, "POST", "/token", header, body)
				shown := admin.decision(t, siteTraceID)
				var d struct {
					Reason   string
					Verified bool
					Trace    any
				}
				if err := json.Unmarshal([]byte(shown), &d); err != nil {
					t.Fatal(err)
				}
				outcomes[fmt.Sprintf("%v %s %v", d.Verified, d.Reason, d.Trace != nil)]++
				for piece, what := range g.secrets {
					if listed != "" && (what == strings.TrimSuffix(listed, "s") || what == "bad claim") {
						delete(g.secrets, piece)
					}
				}
				for where, text := range map[string]string{"decision": shown, "list": admin.send(t, "GET", "/decisions?limit=1", nil, "")} {
					if leak := g.secrets.leaked(text); leak != "" {
						t.Fatalf("request %d: the %s shows %s\n%s\nrequest: %v\n%s", n, where, leak, text, header, body)
					}
				}
			}
			for _, outcome := range []string{"true  false", "true denied true", "true no_rule true", "true rule_failed true", "true identity_invalid true",
				"false bad_signature false", "false malformed_token false", "false malformed_request false", "false unknown_issuer false"} {
				if outcomes[outcome] == 0 {
					t.Errorf("no request was %q: %v", outcome, outcomes)
				}
			}
		})
	}
}

// TestDecisionsAtOnce reads decisions while they are made.
func TestDecisionsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	admin := s.newAdmin(t)
	tokens := []string{s.token(nil), s.token(m{"groups": []string{"suspended"}}), "x"}
	var group sync.WaitGroup
	for _, token := range tokens {
		group.Go(func() {
			for range 100 {
				s.post(t, form(token))
			}
		})
	}
	group.Go(func() {
		for range 50 {
			admin.send(t, "GET", "/decisions", nil, "")
			admin.send(t, "GET", "/decisions/"+siteTraceID, nil, "")
		}
	})
	group.Wait()
	var list struct {
		Decisions []struct{ Outcome, Reason string }
	}
	resp, err := http.Get(admin.url + "/decisions?limit=2000")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, d := range list.Decisions {
		got[d.Outcome+d.Reason]++
	}
	if diff := cmp.Diff(map[string]int{"granted": 100, "refuseddenied": 100, "refusedmalformed_token": 100}, got); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}
