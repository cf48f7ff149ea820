package exchange_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// TestRefusals has each reason that a token, its owner or the service itself
// can be refused for, as it is answered.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	inGroup := func(group string) m { return m{"groups": []string{group}} }
	stranger := exchangetest.NewKey(t, "ES256", "k1")
	unnamed := exchangetest.NewKey(t, "ES256", "k2")
	rs := exchangetest.NewKey(t, "RS256", "k1")

	reauthenticate := func(description, reason string) string {
		return refusalWith(400, "invalid_request", description, reason, "reauthenticate")
	}
	forbidden := func(description, reason string) string {
		return refusalWith(400, "invalid_request", description, reason, "forbidden")
	}
	fixRequest := func(description, reason string) string {
		return refusalWith(400, "invalid_request", description, reason, "fix_request")
	}
	now := siteTime.Unix()
	for _, test := range []struct{ name, token, want string }{
		{"another's signature", stranger.Token(claims(nil)), reauthenticate("the ID token's signature is not valid", "bad_signature")},
		{"unknown key", unnamed.Token(claims(nil)), reauthenticate("the ID token's signature is not valid", "bad_signature")},
		{"expired", s.token(m{"exp": now - 60}), reauthenticate("the ID token has expired", "token_expired")},
		{"too old", s.token(m{"iat": now - 12*3600 - 61}), reauthenticate("the ID token is too old or was issued for too long", "token_too_old")},
		{"too long", s.token(m{"exp": now + 25*3600}), reauthenticate("the ID token is too old or was issued for too long", "token_too_old")},
		{"not yet", s.token(m{"nbf": now + 61}), refusalWith(400, "invalid_request", "the ID token is not valid yet", "token_not_yet_valid", "retry")},

		{"two spellings", s.token(m{"SUB": "a"}), forbidden("the ID token holds a claim under two spellings", "ambiguous_claim")},
		{"claims elsewhere", s.token(m{"_claim_names": m{"groups": "src1"}}), forbidden("the ID token lacks claims that were too many for it", "claims_unavailable")},
		{"require", s.token(inGroup("guest")), forbidden("the ID token does not meet the requirements", "requirement_failed")},
		{"denied", s.token(inGroup("suspended")), forbidden("access is denied", "denied")},
		{"deny undecided", s.token(inGroup("watched")), forbidden("the rules do not come to a result for this person", "rule_failed")},
		{"value missing", s.token(inGroup("support")), forbidden("the rules do not come to a result for this person", "rule_failed")},
		{"two accounts", s.token(inGroup("agents")), forbidden("the rules do not come to a result for this person", "rule_failed")},
		{"no rule", s.token(inGroup("nobody")), forbidden("nothing is granted to this person", "no_rule")},
		{"long identity", s.token(m{"sub": strings.Repeat("x", 255)}), forbidden("this person has no identity that Twilio would take", "identity_invalid")},

		{"no JWT", "x", fixRequest("the ID token is malformed", "malformed_token")},
		{"no sub", s.token(m{"sub": nil}), fixRequest("the ID token is malformed", "malformed_token")},
		{"another algorithm", rs.Token(claims(nil)), fixRequest("this kind of token is not accepted", "unsupported_token")},
		{"logout token", s.token(m{"events": m{}}), fixRequest("this kind of token is not accepted", "unsupported_token")},
		{"unknown issuer", s.token(m{"iss": "https://idp.example.com/"}), fixRequest("the ID token's issuer is not known here", "unknown_issuer")},
		{"another audience", s.token(m{"aud": "other"}), fixRequest("the ID token was issued for another audience", "wrong_audience")},
		{"another client", s.token(m{"azp": "other"}), fixRequest("the ID token was issued to another client", "wrong_azp")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, s.post(t, form(test.token))); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, s.send(t, "POST", "/token", headers("Authorization", "Bearer "+test.token), "")); diff != "" {
				t.Errorf("answer to a bearer token (-want +got):\n%s", diff)
			}
		})
	}
}

// waiting is an answer's text that says when to come back.
func waiting(text string) string {
	return strings.Replace(text, "Vary:", "Retry-After: 5\nVary:", 1)
}

func TestKeysUnavailable(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	s := newSite(t, withProvider(idp), nil) // never started, so there are no keys
	want := waiting(refusalWith(503, "temporarily_unavailable", "the identity provider's keys are not available", "keys_unavailable", "retry"))
	if diff := cmp.Diff(want, s.post(t, form(s.token(m{"iss": idp.URL})))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	want = forOrigin(appOrigin, want)
	if diff := cmp.Diff(want, s.send(t, "POST", "/token", headers("Origin", appOrigin, "Authorization", "Bearer "+s.token(m{"iss": idp.URL})), "")); diff != "" {
		t.Errorf("answer to a page (-want +got):\n%s", diff)
	}
}

// withProvider is siteConfig with a provider on the network for its first
// issuer.
func withProvider(idp *exchangetest.IdP) string {
	return strings.NewReplacer("https://idp.example.com", idp.URL, "    max_token_age: 12h\n    jwks_file: keys.json\n", "    max_token_age: 12h\n").Replace(siteConfig)
}

// failing fails to write while full is set.
type failing struct {
	exchangetest.Log
	full bool
}

var errDiskFull = errors.New("no space left on device")

func (f *failing) Write(p []byte) (int, error) {
	if f.full {
		return 0, errDiskFull
	}
	return f.Log.Write(p)
}

func TestAuditUnavailable(t *testing.T) {
	t.Parallel()
	audit := &failing{full: true}
	s := newSite(t, siteConfig, func(o *exchange.Options) { o.Audit = audit })
	s.events.Take()
	want := waiting(refusalWith(503, "temporarily_unavailable", "a part of this service is not available", "audit_unavailable", "retry"))
	for name, token := range map[string]string{"granted": s.token(nil), "denied": s.token(m{"groups": []string{"suspended"}})} {
		if diff := cmp.Diff(want, s.post(t, form(token))); diff != "" {
			t.Errorf("answer to who is %s (-want +got):\n%s", name, diff)
		}
		if got, want := s.events.Take(), `{"level":"ERROR","msg":"audit","error":"writing the audit record: no space left on device","trace_id":"`+siteTraceID+`"}`+"\n"; got != want {
			t.Errorf("events\n got %s\nwant %s", got, want)
		}
	}
	audit.full = false
	if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer once there is space (-want +got):\n%s", diff)
	}
}

// internalError is the answer to what nobody foresaw.
var internalError = refusalWith(500, "server_error", "something went wrong here", "internal", "retry")

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestInternal(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, func(o *exchange.Options) {
		o.Rand = readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })
	})
	if diff := cmp.Diff(internalError, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got, want := s.events.Take(), `{"level":"ERROR","msg":"internal error","error":"internal: there is no randomness","trace_id":"`+siteTraceID+`"}`+"\n"; got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	panics := true
	s := newSite(t, siteConfig, func(o *exchange.Options) {
		o.Rand = readerFunc(func(p []byte) (int, error) {
			if panics {
				panic("the source of randomness broke")
			}
			return zeros{}.Read(p)
		})
	})
	if diff := cmp.Diff(internalError, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	page := s.send(t, "POST", "/token", headers("Origin", appOrigin, "Content-Type", formType), form(s.token(nil)))
	if diff := cmp.Diff(forOrigin(appOrigin, internalError), page); diff != "" {
		t.Errorf("answer to a page (-want +got):\n%s", diff)
	}
	events := s.events.Take()
	for _, want := range []string{
		`{"level":"ERROR","msg":"panic","error":"the source of randomness broke","stack":"`,
		`{"level":"ERROR","msg":"internal error","error":"panic","trace_id":"` + siteTraceID + `"}`,
	} {
		if !strings.Contains(events, want) {
			t.Errorf("events lack %s:\n%s", want, events)
		}
	}
	panics = false
	if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("the next answer (-want +got):\n%s", diff)
	}
}

// TestOrderOfRefusals has requests with every fault from one on: the first is
// the answer.
func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	evil := "https://evil.example.com"
	forged := exchangetest.NewKey(t, "ES256", "k1").Token(claims(m{"aud": "other"}))
	// Each person has what is wrong with the next ones, too.
	person := func(sub string, groups ...string) string {
		return s.token(m{"iss": "https://partner.example.com/", "sub": sub, "groups": groups})
	}
	long := strings.Repeat("x", 255)
	unscoped := func(token string, more ...string) string { return form(token, append(more, "scope", "fax")...) }
	for _, test := range []struct {
		name, method, path, origin, mediaType, body string
		want                                        string // the reason, and the status where it is not 400
	}{
		{"method", "PUT", "/token?x", evil, "text/plain", strings.Repeat("x", 33<<10), "405 malformed_request"},
		{"media type", "POST", "/token?x", evil, "text/plain", strings.Repeat("x", 33<<10), "415 malformed_request"},
		{"size", "POST", "/token?x", evil, formType, strings.Repeat("x", 33<<10), "413 malformed_request"},
		{"origin", "POST", "/token?x", evil, formType, "%zz", "403 origin_not_allowed"},
		{"query", "POST", "/token?x", appOrigin, formType, "%zz", "400 malformed_request"},
		{"grant_type", "POST", "/token", appOrigin, formType, "grant_type=x&actor_token=x&audience=x&subject_token_type=x", "400 unsupported_grant_type"},
		{"target", "POST", "/token", appOrigin, formType, strings.Replace(unscoped("", "audience", "x"), "id_token", "x", 1), "400 invalid_target"},
		{"token type", "POST", "/token", appOrigin, formType, strings.Replace(unscoped("x", "room", "/"), "id_token", "x", 1), "400 unsupported_token"},
		{"parameter", "POST", "/token", appOrigin, formType, unscoped("x", "room", "/"), "400 invalid_parameter"},
		{"token", "POST", "/token", appOrigin, formType, unscoped("x"), "400 malformed_token"},
		{"audience before signature", "POST", "/token", appOrigin, formType, unscoped(forged), "400 wrong_audience"},
		{"issuer's origin", "POST", "/token", appOrigin, formType, unscoped(person(long, "suspended", "watched", "nobody")), "403 origin_not_allowed"},
		{"deny", "POST", "/token", partnerOrigin, formType, unscoped(person(long, "watched", "suspended", "nobody")), "400 denied"},
		{"undecided deny", "POST", "/token", partnerOrigin, formType, unscoped(person(long, "watched", "nobody")), "400 rule_failed"},
		{"no rule", "POST", "/token", partnerOrigin, formType, unscoped(person(long, "nobody")), "400 no_rule"},
		{"value", "POST", "/token", partnerOrigin, formType, unscoped(person(long, "support")), "400 rule_failed"},
		{"account", "POST", "/token", partnerOrigin, formType, unscoped(person(long, "agents")), "400 rule_failed"},
		{"scope", "POST", "/token", partnerOrigin, formType, unscoped(person(long)), "400 invalid_scope"},
		{"identity", "POST", "/token", partnerOrigin, formType, form(person(long)), "400 identity_invalid"},
		{"require before deny", "POST", "/token", appOrigin, formType, unscoped(s.token(m{"groups": []string{"guest", "suspended"}})), "400 requirement_failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := s.send(t, test.method, test.path, headers("Origin", test.origin, "Content-Type", test.mediaType), test.body)
			_, reason, _ := strings.Cut(text, `"reason":"`)
			reason, _, _ = strings.Cut(reason, `"`)
			if got := text[:3] + " " + reason; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestPanicSaysWhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, func(o *exchange.Options) {
		o.Rand = readerFunc(func([]byte) (int, error) { panic("the source of randomness broke") })
	})
	s.post(t, form(s.token(nil)))
	event, _, _ := strings.Cut(s.events.Take(), "\n")
	if !strings.Contains(event, "(*Minter).mint") || !strings.Contains(event, siteTraceID) {
		t.Errorf("no stack, or no trace id: %s", event)
	}
	if line := s.audit.Take(); !strings.Contains(line, `"outcome":"refused","reason":"internal"`) {
		t.Errorf("audit line %q", line)
	}
}
