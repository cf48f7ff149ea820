package exchange_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

var now = time.Unix(1_780_000_000, 0)

// A service is an exchange on loopback with all that it writes.
type service struct {
	url   string
	log   exchangetest.Log // events at debug level, and audit lines
	later atomic.Bool      // the clock shows the next second
}

// serve starts an exchange and waits until it has keys.
func serve(t testing.TB, text string) *service {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{}
	x, err := exchange.New(cfg, exchange.Options{
		Now: func() time.Time {
			if s.later.Load() {
				return now.Add(time.Second)
			}
			return now
		},
		Log:   slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Audit: &s.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(x.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	x.Start(ctx)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the service does not become ready")
		}
	}
}

// An answer is what the token endpoint answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *service) do(r *http.Request) (answer, error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// exchange sends a token as RFC 8693 has it.
func (s *service) exchange(t *testing.T, token string) answer {
	t.Helper()
	got, err := s.post(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *service) post(ctx context.Context, token string) (answer, error) {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		"subject_token":      {token},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(r)
}

// bearer sends a token by the shorthand.
func (s *service) bearer(t *testing.T, token string) answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	got, err := s.do(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// awaken has the next refusal logged: the service logs so many in a second,
// and its clock stands still.
func (s *service) awaken(t *testing.T) {
	t.Helper()
	s.later.Store(true)
	s.exchange(t, "x")
	s.later.Store(false)
	s.log.Take()
}

// A refusal is an error answer without what differs each time.
type refusal struct {
	status                int
	Error, Reason, Action string
}

// refusals are the answers of the catalogue's reasons.
var refusals = map[rules.Reason]refusal{
	rules.BadSignature:      {400, "invalid_request", "bad_signature", "reauthenticate"},
	rules.TokenExpired:      {400, "invalid_request", "token_expired", "reauthenticate"},
	rules.TokenTooOld:       {400, "invalid_request", "token_too_old", "reauthenticate"},
	rules.TokenNotYetValid:  {400, "invalid_request", "token_not_yet_valid", "retry"},
	rules.AmbiguousClaim:    {400, "invalid_request", "ambiguous_claim", "forbidden"},
	rules.ClaimsUnavailable: {400, "invalid_request", "claims_unavailable", "forbidden"},
	rules.RequirementFailed: {400, "invalid_request", "requirement_failed", "forbidden"},
	rules.MalformedToken:    {400, "invalid_request", "malformed_token", "fix_request"},
	rules.UnsupportedToken:  {400, "invalid_request", "unsupported_token", "fix_request"},
	rules.UnknownIssuer:     {400, "invalid_request", "unknown_issuer", "fix_request"},
	rules.WrongAudience:     {400, "invalid_request", "wrong_audience", "fix_request"},
	rules.WrongAZP:          {400, "invalid_request", "wrong_azp", "fix_request"},
	rules.Overloaded:        {503, "temporarily_unavailable", "overloaded", "retry"},
	rules.NoRule:            {400, "invalid_request", "no_rule", "forbidden"},
}

// tooLarge is the answer to a body over 32 KiB, whatever is in it.
var tooLarge = refusal{413, "invalid_request", "malformed_request", "fix_request"}

// refusal reads an error answer.
func (a answer) refusal(t *testing.T) refusal {
	t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Reason      string `json:"reason"`
		Action      string `json:"action"`
		TraceID     string `json:"trace_id"`
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || body.Description == "" || len(body.TraceID) != 32 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return refusal{a.status, body.Error, body.Reason, body.Action}
}

// TestCatalogue sends every token of the catalogue to the token endpoint, in
// both forms of a request, and to go-oidc as most programs use it. Answers and
// log hold no piece of a token or of its claims.
func TestCatalogue(t *testing.T) {
	c := exchangetest.NewCatalogue(t, now)
	s := serve(t, c.Config)
	plain := map[*exchangetest.Provider]*oidc.IDTokenVerifier{}
	for _, a := range c.Attacks {
		t.Run(a.Row+" "+a.Name, func(t *testing.T) {
			s.awaken(t)
			s.judge(t, a)
			v := plain[a.Provider]
			if v == nil {
				v = plainVerifier(a.Provider.Issuer, a.Provider.URL, a.Provider.Audience, a.Provider.Algorithms...)
				plain[a.Provider] = v
			}
			if _, err := v.Verify(t.Context(), a.Token); (err == nil) != a.Plain {
				t.Errorf("go-oidc alone: taken is %v, want %v: %v", err == nil, a.Plain, err)
			}
		})
	}
	if n := c.Stranger.Fetches() + c.Stranger.Discoveries(); n != 0 {
		t.Errorf("a provider that only tokens name was asked %d times", n)
	}
}

// judge sends a token to the token endpoint and holds the answer and the log
// against what must become of it.
func (s *service) judge(t *testing.T, a exchangetest.Attack) {
	t.Helper()
	got := s.exchange(t, a.Token)
	shown := s.log.Take()
	switch {
	case a.Reason == "":
		var granted struct{ Identity string }
		if err := json.Unmarshal([]byte(got.body), &granted); err != nil || got.status != 200 || !strings.HasPrefix(granted.Identity, a.Provider.Name+"__") {
			t.Errorf("got %d %s", got.status, got.body)
		}
	case len(a.Token) > 31<<10:
		if r := got.refusal(t); r != tooLarge {
			t.Errorf("got %+v, want %+v", r, tooLarge)
		}
		shown += got.body
	default:
		if r := got.refusal(t); r != refusals[a.Reason] {
			t.Errorf("got %+v, want %+v", r, refusals[a.Reason])
		}
		if !strings.Contains(shown, "reason="+string(a.Reason)) {
			t.Errorf("the log does not say why: %s", shown)
		}
		shown += got.body
	}
	if h := got.header; h.Get("Cache-Control") != "no-store" || h.Get("Set-Cookie") != "" || h.Get("Location") != "" || h.Get("WWW-Authenticate") != "" {
		t.Errorf("header %v", h)
	}
	tellsNothing(t, a.Token, shown)
	if fitsHeader(a.Token) {
		if b := s.bearer(t, a.Token); b.status != got.status || a.Reason != "" && b.refusal(t) != got.refusal(t) {
			t.Errorf("as a bearer token %d %s", b.status, b.body)
		}
	}
}

// fitsHeader reports whether a token stays as it is in an Authorization header.
func fitsHeader(token string) bool {
	return token != "" && len(token) < 31<<10 && !strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' })
}

// plainVerifier verifies as a program that uses go-oidc alone does.
func plainVerifier(issuer, url, audience string, algorithms ...string) *oidc.IDTokenVerifier {
	return oidc.NewVerifier(issuer, oidc.NewRemoteKeySet(context.Background(), url+"/jwks"), &oidc.Config{
		ClientID: audience, SupportedSigningAlgs: algorithms, Now: func() time.Time { return now },
	})
}

// TestCatalogueIsWhole holds the catalogue's rows against lists of them.
func TestCatalogueIsWhole(t *testing.T) {
	c := exchangetest.NewCatalogue(t, now)
	rows := func(has func(a exchangetest.Attack) bool) string {
		var rows []string
		for _, a := range c.Attacks {
			if has(a) && !slices.Contains(rows, a.Row) {
				rows = append(rows, a.Row)
			}
		}
		slices.SortFunc(rows, func(a, b string) int {
			return cmp.Or(cmp.Compare(a[:1], b[:1]), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
		})
		return strings.Join(rows, " ")
	}
	for _, test := range []struct{ name, got, want string }{
		{"tried", rows(func(exchangetest.Attack) bool { return true }),
			"A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 C11 C12 C13 C14 C15 " +
				"F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 F13 F14 F15 F16 K6 K13 P"},
		// What this service is for: go-oidc v3.21 alone takes a token of each
		// of these.
		{"refused here and taken by go-oidc alone", rows(func(a exchangetest.Attack) bool { return a.Reason != "" && a.Plain }),
			"A3 A4 A5 A6 A7 A8 A9 A10 A11 C4 C5 C6 C7 C8 C9 C11 C12 C13 C14 C15 F1 F2 F4 F7 F8 F10 F11 F12 F13 F14 F15 F16 K13 P"},
		// A clock that is late by less than the skew, and one bad key beside a
		// good one.
		{"taken here and refused by go-oidc alone", rows(func(a exchangetest.Attack) bool { return a.Reason == "" && !a.Plain }), "C10 K6"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.got != test.want {
				t.Errorf("got  %s\nwant %s", test.got, test.want)
			}
		})
	}
}

// tellsNothing looks for 20 characters in a row of a token, or of the claims
// in it.
func tellsNothing(t *testing.T, token, text string) {
	t.Helper()
	const piece = 20
	secrets := []string{token}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if claims, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			secrets = append(secrets, string(claims))
		}
	}
	for i := 0; i+piece <= len(text); i++ {
		for _, secret := range secrets {
			if strings.Contains(secret, text[i:i+piece]) {
				t.Fatalf("%q of the token is told: %s", text[i:i+piece], text)
			}
		}
	}
}

// TestClaimValues has claims that come in several forms, or that lose digits
// when they are read as floating point, up to what is decided by them: C18 and
// C19.
func TestClaimValues(t *testing.T) {
	key := exchangetest.NewKey(t, "RS256", "k1")
	idp := exchangetest.NewIdP(t, key)
	s := serve(t, `version: 1
accounts: [{name: main, account_sid: AC0123456789abcdef0123456789abcdef, api_key_sid: SK0123456789abcdef0123456789abcdef, api_key_secret: AsecretThatIsNoAuthTokenAtAll123}]
limits: {per_ip: "off", per_subject: "off", failures_per_ip: "off"}
issuers:
  - {name: idp, issuer: "`+idp.URL+`", audiences: [app], claims: {level: int}, require: [claims.email_verified], identity: "idp_${escape(claims.sub)}"}
rules:
  - {name: exact, when: claims.level == 9007199254740993, grants: {video: {room: exact}}}
  - {name: rounded, when: claims.level == 9007199254740992, grants: {video: {room: rounded}}}
`)
	for _, test := range []struct {
		name, claims string
		room         string
		reason       rules.Reason
	}{
		{"C18 more digits than floating point has", `"email_verified":true,"level":9007199254740993`, "exact", ""},
		{"C18 the number beside it", `"email_verified":true,"level":9007199254740992`, "rounded", ""},
		{"C18 text is no number", `"email_verified":true,"level":"9007199254740993"`, "", rules.NoRule},
		{"C19 true as text", `"email_verified":"true","level":9007199254740993`, "exact", ""},
		{"C19 false", `"email_verified":false,"level":9007199254740993`, "", rules.RequirementFailed},
		{"C19 false as text", `"email_verified":"false","level":9007199254740993`, "", rules.RequirementFailed},
		{"C19 another text", `"email_verified":"yes","level":9007199254740993`, "", rules.RequirementFailed},
		{"C19 True as text", `"email_verified":"True","level":9007199254740993`, "", rules.RequirementFailed},
		{"C19 a number", `"email_verified":1,"level":9007199254740993`, "", rules.RequirementFailed},
		{"C19 null", `"email_verified":null,"level":9007199254740993`, "", rules.RequirementFailed},
		{"C19 a list", `"email_verified":[true],"level":9007199254740993`, "", rules.RequirementFailed},
		{"C19 absent", `"level":9007199254740993`, "", rules.RequirementFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := s.exchange(t, key.SignRaw(`{"alg":"RS256","kid":"k1"}`,
				fmt.Sprintf(`{"iss":%q,"sub":"u","aud":"app","iat":%d,"exp":%d,%s}`, idp.URL, now.Unix(), now.Unix()+60, test.claims)))
			if test.reason != "" {
				if r := got.refusal(t); r != refusals[test.reason] {
					t.Errorf("got %+v", r)
				}
				return
			}
			var granted struct {
				Grants struct{ Video struct{ Room string } }
			}
			if err := json.Unmarshal([]byte(got.body), &granted); err != nil || granted.Grants.Video.Room != test.room {
				t.Errorf("got %s, want room %s", got.body, test.room)
			}
		})
	}
}

// oneIssuer is a service with one issuer, whose provider has key k1.
func oneIssuer(t *testing.T) (*service, *exchangetest.IdP, *exchangetest.Key) {
	t.Helper()
	key := exchangetest.NewKey(t, "RS256", "k1")
	idp := exchangetest.NewIdP(t, key)
	return serve(t, `version: 1
accounts: [{name: main, account_sid: AC0123456789abcdef0123456789abcdef, api_key_sid: SK0123456789abcdef0123456789abcdef, api_key_secret: AsecretThatIsNoAuthTokenAtAll123}]
limits: {per_ip: "off", per_subject: "off", failures_per_ip: "off"}
issuers: [{name: idp, issuer: "`+idp.URL+`", audiences: [app], identity: "idp_${escape(claims.sub)}"}]
rules: [{name: all, issuer: any, when: "true", grants: {video: {room: a}}}]
`), idp, key
}

// tokenOf returns a token of somebody's by the named key, signed by key.
func tokenOf(idp *exchangetest.IdP, key *exchangetest.Key, kid, sub string) string {
	return key.Sign(map[string]any{"alg": key.Algorithm, "kid": kid},
		map[string]any{"iss": idp.URL, "sub": sub, "aud": "app", "iat": now.Unix(), "exp": now.Unix() + 3600})
}

// TestProviderIsSpared counts what strangers can make the provider answer: K2
// and A14. go-oidc alone asks it for nearly each.
func TestProviderIsSpared(t *testing.T) {
	const n = 200
	forger := exchangetest.NewKey(t, "RS256", "k2")
	for _, test := range []struct {
		name string
		kid  func(i int) string
		most int // fetches
	}{
		{"K2 unknown kids", func(i int) string { return fmt.Sprint("junk", i) }, 2},
		{"A14 bad signatures", func(int) string { return "k1" }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, idp, key := oneIssuer(t)
			before := idp.Fetches()
			for i := range n {
				if r := s.exchange(t, tokenOf(idp, forger, test.kid(i), "u")).refusal(t); r != refusals[rules.BadSignature] {
					t.Fatalf("got %+v", r)
				}
			}
			if got := idp.Fetches() - before; got > test.most {
				t.Errorf("%d tokens caused %d fetches, want at most %d", n, got, test.most)
			}
			v := plainVerifier(idp.URL, idp.URL, "app")
			if _, err := v.Verify(t.Context(), tokenOf(idp, key, "k1", "u")); err != nil {
				t.Fatal(err)
			}
			before = idp.Fetches()
			for i := range n {
				if _, err := v.Verify(t.Context(), tokenOf(idp, forger, test.kid(i), "u")); err == nil {
					t.Fatal("go-oidc takes it")
				}
			}
			// Now and then it joins a fetch that has just ended.
			if got := idp.Fetches() - before; got < n/4 {
				t.Errorf("go-oidc alone: %d tokens caused %d fetches only", n, got)
			}
		})
	}
}

// TestProvidersBadDay has answers of a provider that cost go-oidc alone the
// keys it had: K4 and K6. It asks again when somebody sends an unknown kid, and
// anybody can.
func TestProvidersBadDay(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		plain        bool // go-oidc alone goes on
	}{
		{"K3 an error", "", true},
		{"K4 an empty object", `{}`, false},
		{"K4 null", `null`, false},
		{"K4 no keys", `{"keys":[]}`, false},
		{"K4 an error with status 200", `{"error":"temporarily_unavailable"}`, false},
		{"K4 a page", `<!doctype html>`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, idp, key := oneIssuer(t)
			v := plainVerifier(idp.URL, idp.URL, "app")
			good, unknown := tokenOf(idp, key, "k1", "u"), tokenOf(idp, key, "k9", "u")
			if _, err := v.Verify(t.Context(), good); err != nil {
				t.Fatal(err)
			}
			idp.Answer(exchangetest.Text(test.answer))
			if test.answer == "" {
				idp.Answer(exchangetest.Down)
			}
			before := idp.Fetches()
			if r := s.exchange(t, unknown).refusal(t); r != refusals[rules.BadSignature] || idp.Fetches() == before {
				t.Errorf("got %+v, %d fetches", r, idp.Fetches()-before)
			}
			if got := s.exchange(t, good); got.status != http.StatusOK {
				t.Errorf("after it: %d %s", got.status, got.body)
			}
			// Now and then it joins a fetch that has just ended, and asks nobody.
			for asked := idp.Fetches(); idp.Fetches() == asked; {
				if _, err := v.Verify(t.Context(), unknown); err == nil {
					t.Fatal("go-oidc takes an unknown key")
				}
			}
			// The provider stays as it is: what was kept counts. It answers before
			// it has put away what it fetched.
			_, err := v.Verify(t.Context(), good)
			for range 1000 {
				if err != nil || test.plain {
					break
				}
				runtime.Gosched()
				_, err = v.Verify(t.Context(), good)
			}
			if (err == nil) != test.plain {
				t.Errorf("go-oidc alone after it: %v", err)
			}
		})
	}
}

// TestOverloaded fills the room for requests that wait for keys while the
// provider hangs. What there is no room for is answered at once.
func TestOverloaded(t *testing.T) {
	const room, more = 256, 8
	s, idp, key := oneIssuer(t)
	idp.Answer(exchangetest.Hang)
	unknown := tokenOf(idp, key, "k9", "u")
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	answers := make(chan answer, room+more)
	for range room + more {
		go func() {
			if got, err := s.post(ctx, unknown); err == nil {
				answers <- got
			}
		}()
	}
	for range more {
		got := <-answers
		if r := got.refusal(t); r != refusals[rules.Overloaded] || got.header.Get("Retry-After") != "5" {
			t.Errorf("got %+v, Retry-After %q", r, got.header.Get("Retry-After"))
		}
	}
	if got := s.exchange(t, tokenOf(idp, key, "k1", "u")); got.status != http.StatusOK {
		t.Errorf("a known key, meanwhile: %d %s", got.status, got.body)
	}
}
