package exchange_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/store"
)

// logoutConfig is siteConfig with logout notices from both of its providers.
var logoutConfig = strings.ReplaceAll(siteConfig, "    jwks_file: keys.json\n", "    jwks_file: keys.json\n    backchannel_logout: true\n")

// A ledger is a store that tells what was marked, and fails on demand.
type ledger struct {
	store.Store
	mu                     sync.Mutex
	marks                  []store.Mark
	noMark, noUse, noMarks bool // Mark, Use, Marked fail
}

var errNoStore = errors.New("the store is away")

func (l *ledger) Mark(ctx context.Context, marks []store.Mark) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.noMark {
		return errNoStore
	}
	l.marks = append(l.marks, marks...)
	return l.Store.Mark(ctx, marks)
}

func (l *ledger) Use(ctx context.Context, key [sha256.Size]byte, max int, expires time.Time) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.noUse {
		return false, errNoStore
	}
	return l.Store.Use(ctx, key, max, expires)
}

func (l *ledger) Marked(ctx context.Context, keys ...[sha256.Size]byte) ([]time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.noMarks {
		return nil, errNoStore
	}
	return l.Store.Marked(ctx, keys...)
}

// newLogoutSite returns a site with a ledger in which nothing fails yet.
func newLogoutSite(t testing.TB, configuration string) (*site, *ledger) {
	t.Helper()
	l := &ledger{}
	s := newSite(t, configuration, func(o *exchange.Options) {
		l.Store = store.NewMemory(o.Now)
		o.Store = l
	})
	s.events.Take()
	return s, l
}

// logoutClaims are those of a good logout token, changed; nil takes one away.
func logoutClaims(changes m) m {
	c := claims(m{"exp": siteTime.Unix() + 120, "jti": "j1", "sid": "s1", "events": m{"http://schemas.openid.net/event/backchannel-logout": m{}}})
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// logoutToken signs the claims of a good logout token, changed.
func (s *site) logoutToken(changes m) string { return s.key.Token(logoutClaims(changes)) }

// logOut posts a logout token as idp does.
func (s *site) logOut(t testing.TB, token string) string {
	t.Helper()
	return s.send(t, "POST", "/backchannel-logout/idp", headers("Content-Type", formType), url.Values{"logout_token": {token}}.Encode())
}

const loggedOut = "200\nCache-Control: no-store\nPragma: no-cache\nX-Content-Type-Options: nosniff\n\n"

// logoutRefusal is the text of the answer to a logout token that is refused.
func logoutRefusal(status int, code, description, reason, action string) string {
	return strings.Replace(refusalWith(status, code, description, reason, action), "Vary: Origin\n", "", 1)
}

func malformedLogout(status int, description string) string {
	return logoutRefusal(status, "invalid_request", description, "malformed_request", "fix_request")
}

// TestLogoutRequests has each way in which a request holds no logout token, as
// it is answered: to nobody's page, whatever its origin.
func TestLogoutRequests(t *testing.T) {
	t.Parallel()
	s, l := newLogoutSite(t, logoutConfig)
	good := s.logoutToken(nil)
	onlyPost := strings.Replace(malformedLogout(405, "the logout endpoint takes POST"), "\n", "\nAllow: POST\n", 1)
	onlyForm := malformedLogout(415, "the body must be application/x-www-form-urlencoded, in UTF-8")
	onlyOne := malformedLogout(400, "there must be one logout_token")
	for _, test := range []struct {
		name, method, query string
		header              http.Header
		body, want          string
	}{
		{"GET", "GET", "?logout_token=" + good, nil, "", onlyPost},
		{"OPTIONS", "OPTIONS", "", headers("Access-Control-Request-Method", "POST"), "", onlyPost},
		{"no body", "POST", "", nil, "", onlyForm},
		{"JSON", "POST", "", headers("Content-Type", jsonType), `{"logout_token":"` + good + `"}`, onlyForm},
		{"another charset", "POST", "", headers("Content-Type", formType+"; charset=utf-16"), "logout_token=" + good, onlyForm},
		{"too large", "POST", "", headers("Content-Type", formType), strings.Repeat("x", 32<<10+1), malformedLogout(413, "the body is larger than 32 KiB")},
		{"no form", "POST", "", headers("Content-Type", formType), "%zz", malformedLogout(400, "the form is not validly encoded")},
		{"no token", "POST", "", headers("Content-Type", formType), "token=" + good, onlyOne},
		{"an empty token", "POST", "", headers("Content-Type", formType), "logout_token=", onlyOne},
		{"two tokens", "POST", "", headers("Content-Type", formType), "logout_token=" + good + "&logout_token=" + good, onlyOne},
		{"a token in the URL", "POST", "?logout_token=" + good, headers("Content-Type", formType), "", onlyOne},
		{"a bearer token", "POST", "", headers("Content-Type", formType, "Authorization", "Bearer "+good), "", onlyOne},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := headers("Origin", appOrigin)
			maps.Copy(h, test.header)
			if diff := cmp.Diff(test.want, s.send(t, test.method, "/backchannel-logout/idp"+test.query, h, test.body)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
	if len(l.marks) > 0 {
		t.Errorf("marks: %v", l.marks)
	}
	// What the specification lets come along means nothing.
	h := headers("Content-Type", formType+"; charset=UTF-8", "Origin", appOrigin)
	if diff := cmp.Diff(loggedOut, s.send(t, "POST", "/backchannel-logout/idp?from=op", h, "state=a&state=b&logout_token="+good)); diff != "" {
		t.Errorf("more than a logout token (-want +got):\n%s", diff)
	}
}

// TestLogoutRefusals has each fault of a logout token as it is answered. None
// of them ends a session.
func TestLogoutRefusals(t *testing.T) {
	t.Parallel()
	s, l := newLogoutSite(t, logoutConfig)
	refused := func(action, description, reason string) string {
		return logoutRefusal(400, "invalid_request", description, reason, action)
	}
	malformed := refused("fix_request", "the logout token is malformed", "malformed_token")
	anotherKind := refused("fix_request", "this kind of token is not accepted", "unsupported_token")
	badSignature := refused("reauthenticate", "the logout token's signature is not valid", "bad_signature")
	tooOld := refused("reauthenticate", "the logout token is too old or was issued for too long", "token_too_old")
	unknownIssuer := refused("fix_request", "the logout token's issuer is not known here", "unknown_issuer")
	event := func(value any) m { return m{"events": m{"http://schemas.openid.net/event/backchannel-logout": value}} }
	now := siteTime.Unix()
	for _, test := range []struct{ name, token, want string }{
		{"no JWT", "x", malformed},
		{"an ID token", s.token(nil), anotherKind},
		{"typ of an access token", s.key.Sign(m{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, logoutClaims(nil)), anotherKind},
		{"unsigned", "eyJhbGciOiJub25lIn0.e30.", anotherKind},
		{"another algorithm", exchangetest.NewKey(t, "RS256", "k1").Token(logoutClaims(nil)), anotherKind},
		{"another's signature", exchangetest.NewKey(t, "ES256", "k1").Token(logoutClaims(nil)), badSignature},
		{"unknown key", exchangetest.NewKey(t, "ES256", "k2").Token(logoutClaims(nil)), badSignature},
		{"nobody's iss", s.logoutToken(m{"iss": "https://idp.example.com/"}), unknownIssuer},
		{"the iss of another path", s.logoutToken(m{"iss": "https://partner.example.com/"}), unknownIssuer},
		{"another audience", s.logoutToken(m{"aud": "other"}), refused("fix_request", "the logout token was issued for another audience", "wrong_audience")},
		{"another client", s.logoutToken(m{"azp": "other"}), refused("fix_request", "the logout token was issued to another client", "wrong_azp")},
		{"no iat", s.logoutToken(m{"iat": nil}), malformed},
		{"in the future", s.logoutToken(m{"iat": now + 61}), refused("retry", "the logout token is not valid yet", "token_not_yet_valid")},
		{"too old", s.logoutToken(m{"iat": now - 12*3600 - 1}), tooOld},
		{"no exp", s.logoutToken(m{"exp": nil}), malformed},
		{"expired", s.logoutToken(m{"exp": now - 60}), refused("reauthenticate", "the logout token has expired", "token_expired")},
		{"too long", s.logoutToken(m{"exp": now + 24*3600}), tooOld},
		{"no jti", s.logoutToken(m{"jti": nil}), malformed},
		{"no events", s.logoutToken(m{"events": nil}), anotherKind},
		{"other events", s.logoutToken(m{"events": m{"https://example.com/event": m{}}}), anotherKind},
		{"an event that is no object", s.logoutToken(event(true)), anotherKind},
		{"nonce", s.logoutToken(m{"nonce": "n"}), anotherKind},
		{"neither sub nor sid", s.logoutToken(m{"sub": nil, "sid": nil}), malformed},
		{"sub of another type", s.logoutToken(m{"sub": 1}), malformed},
		{"sid of another type", s.logoutToken(m{"sid": 1}), malformed},
		{"two spellings", s.logoutToken(m{"Sid": "s2"}), refused("forbidden", "the logout token holds a claim under two spellings", "ambiguous_claim")},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, s.logOut(t, test.token)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
	if len(l.marks) > 0 {
		t.Errorf("marks: %v", l.marks)
	}
	if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(m{"sid": "s1"})))); diff != "" {
		t.Errorf("an exchange afterwards (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(loggedOut, s.logOut(t, s.logoutToken(nil))); diff != "" {
		t.Errorf("a good logout token (-want +got):\n%s", diff)
	}
}

// sessionEnded is the answer to an ID token whose session has ended.
var sessionEnded = refusalWith(400, "invalid_request", "the session of this ID token has ended", "logged_out", "reauthenticate")

// TestLogout has, for each kind of logout token, what is marked and which ID
// tokens are refused for it.
func TestLogout(t *testing.T) {
	t.Parallel()
	at := siteTime.Unix() - 60 // of the logout token
	idTokens := []struct {
		name   string
		claims m
	}{
		{"s1 before", m{"sid": "s1", "iat": at - 1}},
		{"s1 after", m{"sid": "s1", "iat": at + 1}},
		{"s2 before", m{"sid": "s2", "iat": at - 1}},
		{"s2 after", m{"sid": "s2", "iat": at + 1}},
		{"none before", m{"iat": at - 1}},
		{"none then", m{"iat": at}},
		{"none after", m{"iat": at + 1}},
		{"empty before", m{"sid": "", "iat": at - 1}},
		{"of another type before", m{"sid": 1, "iat": at - 1}},
		{"named as the subject", m{"sid": "auth0|1", "iat": at - 1}},
		{"another's s1", m{"sub": "b", "sid": "s1", "iat": at - 1}},
		{"another's none", m{"sub": "b", "iat": at - 1}},
		{"a subject named as the session", m{"sub": "s1", "iat": at - 1}},
		{"partner's s1", m{"iss": "https://partner.example.com/", "sid": "s1", "iat": at - 1}},
		{"partner's none", m{"iss": "https://partner.example.com/", "iat": at - 1}},
	}
	hash := subjectHash("https://idp.example.com", "auth0|1")
	for _, test := range []struct {
		name   string
		logout m
		marks  []string
		want   []string // the ID tokens that are refused
		event  string
	}{
		{"sid and sub", nil, []string{"sid s1", "sub-without-sid auth0|1"},
			[]string{"s1 before", "s1 after", "none before", "none then", "empty before", "of another type before", "another's s1"},
			`"session":true,"subject_hash":"` + hash + `"`},
		{"sid", m{"sub": nil}, []string{"sid s1"}, []string{"s1 before", "s1 after", "another's s1"}, `"session":true,"subject_hash":""`},
		{"sub", m{"sid": nil}, []string{"sub auth0|1"},
			[]string{"s1 before", "s2 before", "none before", "none then", "empty before", "of another type before", "named as the subject"},
			`"session":false,"subject_hash":"` + hash + `"`},
		{"a sub that nobody has", m{"sub": "nobody", "sid": nil}, []string{"sub nobody"}, nil,
			`"session":false,"subject_hash":"` + subjectHash("https://idp.example.com", "nobody") + `"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, l := newLogoutSite(t, logoutConfig)
			if diff := cmp.Diff(loggedOut, s.logOut(t, s.logoutToken(test.logout))); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			var marks []store.Mark
			for _, mark := range test.marks {
				what, value, _ := strings.Cut(mark, " ")
				marks = append(marks, store.Mark{
					Key: sha256.Sum256([]byte(what + "\x00https://idp.example.com\x00" + value)),
					At:  time.Unix(at, 0), Expires: siteTime.Add(24*time.Hour + time.Minute),
				})
			}
			if diff := cmp.Diff(marks, l.marks); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
			if got, want := s.events.Take(), `{"level":"INFO","msg":"logout","issuer":"idp",`+test.event+`,"address":"127.0.0.1","trace_id":"`+siteTraceID+"\"}\n"; got != want {
				t.Errorf("event\n got %s\nwant %s", got, want)
			}
			var refused []string
			for _, token := range idTokens {
				switch text := s.post(t, form(s.token(token.claims))); {
				case text == sessionEnded:
					refused = append(refused, token.name)
				case !strings.HasPrefix(text, "200\n"):
					t.Errorf("%s: %s", token.name, text)
				}
			}
			if diff := cmp.Diff(test.want, refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLogoutAgain has marks of two logouts: the later one holds, in whatever
// order they come.
func TestLogoutAgain(t *testing.T) {
	t.Parallel()
	at := siteTime.Unix() - 60
	for _, order := range [][]int64{{at, at - 100}, {at - 100, at}} {
		s, _ := newLogoutSite(t, logoutConfig)
		for _, iat := range order {
			if diff := cmp.Diff(loggedOut, s.logOut(t, s.logoutToken(m{"sid": nil, "iat": iat, "jti": fmt.Sprint(iat)}))); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		}
		if diff := cmp.Diff(sessionEnded, s.post(t, form(s.token(m{"iat": at})))); diff != "" {
			t.Errorf("%d: a token of then (-want +got):\n%s", order, diff)
		}
		if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(m{"iat": at + 1})))); diff != "" {
			t.Errorf("%d: a token of later (-want +got):\n%s", order, diff)
		}
	}
}

// TestLogoutLives has an ended session stay so for as long as its tokens live.
func TestLogoutLives(t *testing.T) {
	t.Parallel()
	s, _ := newLogoutSite(t, strings.Replace(logoutConfig, "max_token_age: 12h", "max_lifetime: 2h\n    clock_skew: 5m", 1))
	now := siteTime.Unix()
	if diff := cmp.Diff(loggedOut, s.logOut(t, s.logoutToken(m{"iat": now - 400, "exp": now - 299}))); diff != "" {
		t.Errorf("answer to the last moment's token (-want +got):\n%s", diff)
	}
	exchange := func() string {
		now := s.clock.Now().Unix()
		return s.post(t, form(s.token(m{"sid": "s1", "iat": now, "exp": now + 60})))
	}
	s.clock.Advance(2*time.Hour + 5*time.Minute - time.Second)
	if diff := cmp.Diff(sessionEnded, exchange()); diff != "" {
		t.Errorf("at the end of max_lifetime and clock_skew (-want +got):\n%s", diff)
	}
	s.clock.Advance(time.Hour)
	if diff := cmp.Diff(usualAnswer, exchange()); diff != "" {
		t.Errorf("long after (-want +got):\n%s", diff)
	}
}

// TestLogoutOnce has a logout token count once, however often it comes.
func TestLogoutOnce(t *testing.T) {
	t.Parallel()
	s, _ := newLogoutSite(t, logoutConfig)
	again := logoutRefusal(400, "invalid_request", "the logout token was used too often", "replayed", "reauthenticate")
	token := s.logoutToken(nil)
	answers := make([]string, 20)
	var posts sync.WaitGroup
	for i := range answers {
		posts.Go(func() { answers[i] = s.logOut(t, token) })
	}
	posts.Wait()
	slices.Sort(answers)
	want := append([]string{loggedOut}, slices.Repeat([]string{again}, len(answers)-1)...)
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(again, s.logOut(t, s.logoutToken(m{"sid": "s2"}))); diff != "" {
		t.Errorf("another token with its jti (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(loggedOut, s.logOut(t, s.logoutToken(m{"jti": "j2"}))); diff != "" {
		t.Errorf("one with a jti of its own (-want +got):\n%s", diff)
	}
	partners := s.logoutToken(m{"iss": "https://partner.example.com/"})
	if diff := cmp.Diff(loggedOut, s.send(t, "POST", "/backchannel-logout/partner", headers("Content-Type", formType), "logout_token="+partners)); diff != "" {
		t.Errorf("another issuer's with its jti (-want +got):\n%s", diff)
	}
}

// TestLogoutWithoutStore has a logout that could not be stored be no logout, and
// be one when it is sent again.
func TestLogoutWithoutStore(t *testing.T) {
	t.Parallel()
	unavailable := waiting(refusalWith(503, "temporarily_unavailable", "a part of this service is not available", "store_unavailable", "retry"))
	for name, fail := range map[string]func(*ledger, bool){
		"marks": func(l *ledger, fails bool) { l.noMark = fails },
		"uses":  func(l *ledger, fails bool) { l.noUse = fails },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := newLogoutSite(t, logoutConfig)
			token, idToken := s.logoutToken(nil), s.token(m{"sid": "s1"})
			fail(l, true)
			for range 2 {
				if diff := cmp.Diff(strings.Replace(unavailable, "Vary: Origin\n", "", 1), s.logOut(t, token)); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
				want := `{"level":"ERROR","msg":"store","error":"the store is away","trace_id":"` + siteTraceID + `","suppressed":0}
{"level":"INFO","msg":"logout refused","reason":"store_unavailable","detail":"store_unavailable: the store did not answer","issuer":"","kid":"","address":"127.0.0.1","trace_id":"` + siteTraceID + `","suppressed":0}
`
				if diff := cmp.Diff(want, s.events.Take()); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			}
			if name == "marks" {
				if len(l.marks) > 0 {
					t.Errorf("marks: %v", l.marks)
				}
				if diff := cmp.Diff(usualAnswer, s.post(t, form(idToken))); diff != "" {
					t.Errorf("an exchange meanwhile (-want +got):\n%s", diff)
				}
			}
			fail(l, false)
			if diff := cmp.Diff(loggedOut, s.logOut(t, token)); diff != "" {
				t.Errorf("the same token again (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(sessionEnded, s.post(t, form(idToken))); diff != "" {
				t.Errorf("an exchange afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExchangeWithoutStore has nobody's session be known to last.
func TestExchangeWithoutStore(t *testing.T) {
	t.Parallel()
	unavailable := waiting(refusalWith(503, "temporarily_unavailable", "a part of this service is not available", "store_unavailable", "retry"))
	redis := func(onFailure string) string {
		return logoutConfig + "store: {redis: {url: redis://localhost:6379, on_failure: " + onFailure + "}}\n"
	}
	for _, test := range []struct{ name, config, want string }{
		{"refuse", redis("refuse"), unavailable},
		{"insecure_allow", redis("insecure_allow"), usualAnswer},
		{"memory", logoutConfig, unavailable},
		{"no logout", siteConfig, usualAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, l := newLogoutSite(t, test.config)
			l.noMarks = true
			if diff := cmp.Diff(test.want, s.post(t, form(s.token(nil)))); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			event := `{"level":"ERROR","msg":"store","error":"the store is away","trace_id":"` + siteTraceID + `","suppressed":0}` + "\n"
			if test.name == "no logout" {
				event = ""
			}
			if got := s.events.Take(); got != event {
				t.Errorf("events\n got %s\nwant %s", got, event)
			}
		})
	}
}

// TestLoggedOutInOrder has an ended session be told after the issuer's origins
// and before what the rules say, and be written down.
func TestLoggedOutInOrder(t *testing.T) {
	t.Parallel()
	s, _ := newLogoutSite(t, logoutConfig)
	for _, issuer := range []string{"idp", "partner"} {
		iss := map[string]string{"idp": "https://idp.example.com", "partner": "https://partner.example.com/"}[issuer]
		body := "logout_token=" + s.logoutToken(m{"iss": iss})
		if diff := cmp.Diff(loggedOut, s.send(t, "POST", "/backchannel-logout/"+issuer, headers("Content-Type", formType), body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", issuer, diff)
		}
	}
	guest := s.token(m{"groups": []string{"guest", "suspended"}})
	if diff := cmp.Diff(sessionEnded, s.post(t, form(guest, "scope", "fax"))); diff != "" {
		t.Errorf("before require (-want +got):\n%s", diff)
	}
	want := s.auditLine("auth0|1", "app", "127.0.0.1", "[]", `"outcome":"refused","reason":"logged_out","detail":"the subject logged out after it was issued"`)
	if got := s.audit.Take(); got != want {
		t.Errorf("audit line\n got %s\nwant %s", got, want)
	}
	s.post(t, form(s.token(m{"sid": "s1"})))
	want = s.auditLine("auth0|1", "app", "127.0.0.1", "[]", `"outcome":"refused","reason":"logged_out","detail":"its session has ended"`)
	if got := s.audit.Take(); got != want {
		t.Errorf("audit line\n got %s\nwant %s", got, want)
	}
	partners := form(s.token(m{"iss": "https://partner.example.com/"}))
	text := s.send(t, "POST", "/token", headers("Content-Type", formType, "Origin", appOrigin), partners)
	if reason := reasonOf(text); reason != "origin_not_allowed" {
		t.Errorf("at an origin that the issuer does not list: %s", reason)
	}
}

// TestLogoutRefusedEvents has a refused logout be told to operators.
func TestLogoutRefusedEvents(t *testing.T) {
	t.Parallel()
	s, _ := newLogoutSite(t, logoutConfig)
	event := func(reason, detail, issuer, kid string) string {
		return fmt.Sprintf(`{"level":"INFO","msg":"logout refused","reason":%q,"detail":%q,"issuer":%q,"kid":%q,"address":"127.0.0.1","trace_id":%q,"suppressed":0}`+"\n",
			reason, reason+": "+detail, issuer, kid, siteTraceID)
	}
	for _, test := range []struct{ token, want string }{
		{"", event("malformed_request", "there must be one logout_token", "", "")},
		{"x", event("malformed_token", "it has not three parts", "", "")},
		{s.logoutToken(m{"jti": nil}), event("malformed_token", "jti is not a string of at least one character", "idp", "k1")},
		{s.logoutToken(m{"iss": "https://partner.example.com/"}), event("unknown_issuer", "iss is another issuer's", "partner", "k1")},
	} {
		s.logOut(t, test.token)
		if diff := cmp.Diff(test.want, s.events.Take()); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
	if line := s.audit.Take(); line != "" {
		t.Errorf("audit line %s", line)
	}
}

// TestLogoutIsNoShadow has a shadow not see who is refused for a session's end,
// of which no configuration says anything.
func TestLogoutIsNoShadow(t *testing.T) {
	t.Parallel()
	cfg := candidate(t)
	s := newSite(t, logoutConfig, func(o *exchange.Options) { o.Shadow = cfg })
	s.logOut(t, s.logoutToken(m{"sid": nil}))
	if diff := cmp.Diff(sessionEnded, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	s.post(t, form(s.token(m{"sub": "b"})))
	s.events.Take()
	s.Close()
	if got, want := s.events.Take(), soFar(cfg, 1, 0, 0, 0, 0); got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
}
