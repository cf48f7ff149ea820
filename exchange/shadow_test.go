package exchange_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// candidate is siteConfig with changes, of pairs of old and new text, as a
// configuration to compare with. Its keys are not the live ones.
func candidate(t testing.TB, pairs ...string) *config.Config {
	t.Helper()
	text := siteConfig
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in siteConfig", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	cfg, err := config.Parse("candidate.yaml", []byte(text), config.Options{ReadFile: func(string) ([]byte, error) {
		return []byte(`{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig",
			"x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// shadowed returns a site that compares with cfg.
func shadowed(t testing.TB, cfg *config.Config) *site {
	s := prepareSite(t, siteConfig, func(o *exchange.Options) { o.Shadow = cfg })
	t.Cleanup(s.Close)
	return s
}

// soFar is the line of counts.
func soFar(cfg *config.Config, seen, different, widened, failed, dropped int) string {
	return fmt.Sprintf(`{"level":"INFO","msg":"shadow so far","config":%q,"seen":%d,"different":%d,"widened":%d,"failed":%d,"dropped":%d}`+"\n",
		cfg.Hash, seen, different, widened, failed, dropped)
}

// TestShadow has, for each change of the configuration, what the log tells of
// one exchange; what the caller gets is what they get without a shadow.
func TestShadow(t *testing.T) {
	t.Parallel()
	differs := func(issuer, changes string, widens bool, live, shadow string) string {
		return fmt.Sprintf(`{"level":"INFO","msg":"shadow differs","trace_id":"%s","issuer":"%s","changes":%s,"widens":%t,"live":"%s","shadow":"%s","suppressed":0}`+"\n",
			siteTraceID, issuer, changes, widens, live, shadow)
	}
	const granted = `["widens outcome","widens identity","widens account","widens ttl","widens chat","widens sync"]`
	const refused = `["narrows outcome","narrows identity","narrows account","narrows ttl","narrows chat","narrows sync"]`
	for _, test := range []struct {
		name    string
		changes []string // of siteConfig
		claims  m
		request exchange.Request
		want    string // the line of the difference
	}{
		{"nothing", nil, nil, exchange.Request{}, ""},
		{"a name", []string{"name: everyone", "name: all"}, nil, exchange.Request{}, ""},
		{"another identity", []string{"idp__", "person__"}, nil, exchange.Request{},
			differs("idp", `["widens identity"]`, true, "granted", "granted")},
		{"a longer ttl", []string{"ttl: 4h", "ttl: 5h"}, m{"groups": []any{"support"}}, exchange.Request{Parameters: map[string]string{"room": "r"}},
			differs("idp", `["widens ttl"]`, true, "granted", "granted")},
		{"a shorter ttl", []string{"ttl: 4h", "ttl: 3h"}, m{"groups": []any{"support"}}, exchange.Request{Parameters: map[string]string{"room": "r"}},
			differs("idp", `["narrows ttl"]`, false, "granted", "granted")},
		{"a room", []string{"support-${", "team-${"}, m{"groups": []any{"support"}}, exchange.Request{Parameters: map[string]string{"room": "r"}},
			differs("idp", `["widens video.room"]`, true, "granted", "granted")},
		{"another room, to who wants chat", []string{"support-${", "team-${"}, m{"groups": []any{"support"}}, exchange.Request{Parameters: map[string]string{"room": "r"}, Scope: []string{"chat"}}, ""},
		{"no longer denied", []string{"'suspended' in", "'banned' in"}, m{"groups": []any{"suspended"}}, exchange.Request{},
			differs("idp", granted, true, "denied", "granted")},
		{"denied", []string{"'suspended' in", "'new' in"}, m{"groups": []any{"new"}}, exchange.Request{},
			differs("idp", refused, false, "granted", "denied")},
		{"refused for another reason", []string{"deny: account suspended", "grants: {voice: {incoming_allow: \"${claims.no}\"}}"}, m{"groups": []any{"suspended", "nobody"}}, exchange.Request{},
			differs("idp", `["changes outcome"]`, false, "denied", "rule_failed")},
		{"a requirement", []string{"'guest' in", "'visitor' in"}, m{"groups": []any{"guest"}}, exchange.Request{},
			differs("idp", granted, true, "requirement_failed", "granted")},
		{"an audience", []string{"audiences: [app, ios]", "audiences: [ios]"}, nil, exchange.Request{},
			differs("idp", refused, false, "granted", "wrong_audience")},
		{"an audience, by azp", []string{"audiences: [app, ios]", "audiences: [app]"}, m{"aud": []any{"app", "ios"}, "azp": "android"}, exchange.Request{}, ""},
		{"an age", []string{"max_token_age: 12h", "max_token_age: 30s"}, nil, exchange.Request{},
			differs("idp", refused, false, "granted", "token_too_old")},
		{"an issuer that is gone", []string{"name: partner", "name: associate"}, m{"iss": "https://partner.example.com/"}, exchange.Request{},
			differs("partner", refused, false, "granted", "unknown_issuer")},
		{"an issuer of another URL", []string{"https://partner.example.com/\n", "https://partner.example.org/\n"}, m{"iss": "https://partner.example.com/"}, exchange.Request{},
			differs("partner", refused, false, "granted", "unknown_issuer")},
		{"a parameter", []string{"[a-z0-9-]{1,64}", "[a-z]{1,64}"}, nil, exchange.Request{Parameters: map[string]string{"room": "r2"}},
			differs("idp", refused, false, "granted", "invalid_parameter")},
		{"a client", []string{"!('nobody' in claims.?groups.orValue([]))", "client == 'android'"}, m{"azp": "android"}, exchange.Request{}, ""},
		{"an origin that is gone", []string{"allowed_origins: [https://partner.example.com]", "allowed_origins: [https://app.example.com]"},
			m{"iss": "https://partner.example.com/"}, exchange.Request{Origin: "https://partner.example.com"},
			differs("partner", refused, false, "granted", "origin_not_allowed")},
		{"an origin", []string{"allowed_origins: [https://partner.example.com]", "allowed_origins: [https://app.example.com]"},
			m{"iss": "https://partner.example.com/"}, exchange.Request{Origin: "https://app.example.com"},
			differs("partner", granted, true, "origin_not_allowed", "granted")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := candidate(t, test.changes...)
			s, alone := shadowed(t, cfg), prepareSite(t, siteConfig, nil)
			r := test.request
			r.TraceID = siteTraceID
			r.SubjectToken = s.token(test.claims)
			got, gotErr := s.Exchange(t.Context(), &r)
			r.SubjectToken = alone.token(test.claims)
			want, wantErr := alone.Exchange(t.Context(), &r)
			if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Errorf("the answer is %v, without a shadow %v\n%s", gotErr, wantErr, diff)
			}
			s.Close()
			different, widened := 0, 0
			if test.want != "" {
				different = 1
			}
			if strings.Contains(test.want, `"widens":true`) {
				widened = 1
			}
			if diff := cmp.Diff(test.want+soFar(cfg, 1, different, widened, 0, 0), s.events.Take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is no exchange of a verified token is not the shadow's business.
func TestShadowSeesVerifiedTokensAlone(t *testing.T) {
	t.Parallel()
	s := shadowed(t, candidate(t))
	for _, r := range []exchange.Request{
		{SubjectToken: "junk"},
		{SubjectToken: s.token(m{"exp": siteTime.Unix() - 3600})},
		{SubjectToken: s.token(nil), Parameters: map[string]string{"platform": "none"}},
	} {
		if _, err := s.Exchange(t.Context(), &r); err == nil {
			t.Error("this was to be refused")
		}
	}
	s.events.Take()
	s.Close()
	if got := s.events.Take(); got != "" {
		t.Errorf("logged %s", got)
	}
}

// At most ten differences a second are logged, and the counts once a minute,
// when they have changed, and at the end.
func TestShadowLogsWithinBounds(t *testing.T) {
	t.Parallel()
	cfg := candidate(t, "idp__", "person__")
	s := shadowed(t, cfg)
	exchange := func(n int) {
		t.Helper()
		for range n {
			if _, err := s.Exchange(t.Context(), &exchange.Request{SubjectToken: s.token(nil), TraceID: siteTraceID}); err != nil {
				t.Fatal(err)
			}
		}
	}
	line := func(suppressed int) string {
		return fmt.Sprintf(`{"level":"INFO","msg":"shadow differs","trace_id":"%s","issuer":"idp","changes":["widens identity"],"widens":true,"live":"granted","shadow":"granted","suppressed":%d}`+"\n",
			siteTraceID, suppressed)
	}
	exchange(13)
	s.clock.Advance(time.Minute)
	exchange(2)
	s.Close()
	want := strings.Repeat(line(0), 10) + line(3) + soFar(cfg, 14, 14, 14, 0, 0) + line(0) + soFar(cfg, 15, 15, 15, 0, 0)
	if diff := cmp.Diff(want, s.events.Take()); diff != "" {
		t.Error(diff)
	}
}

// gate is a log that lets nobody through until it is open.
type gate struct {
	reached, open chan struct{}
	once          sync.Once
	exchangetest.Log
}

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() { close(g.reached) })
	<-g.open
	return g.Log.Write(p)
}

// TestShadowNeverHoldsUp stops the shadow at its first line: every exchange is
// answered all the same, and those for which there is no room are counted.
func TestShadowNeverHoldsUp(t *testing.T) {
	t.Parallel()
	const queue, more = 256, 7
	cfg := candidate(t, "idp__", "person__")
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	s := prepareSite(t, siteConfig, func(o *exchange.Options) {
		o.Shadow = cfg
		o.Log = slog.New(slog.NewJSONHandler(g, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	})
	r := exchange.Request{SubjectToken: s.token(nil), TraceID: siteTraceID}
	for i := range 1 + queue + more {
		if _, err := s.Exchange(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-g.reached
		}
	}
	close(g.open)
	s.Close()
	s.Close() // does nothing
	if _, err := s.Exchange(t.Context(), &r); err != nil {
		t.Errorf("after Close: %v", err)
	}
	got := g.Take()
	if want := soFar(cfg, 1+queue, 1+queue, 1+queue, 0, more); !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 11 {
		t.Errorf("logged %s\nwant ten differences and %s", got, want)
	}
}

// TestShadowBesideManyExchanges is for the race detector.
func TestShadowBesideManyExchanges(t *testing.T) {
	t.Parallel()
	s := shadowed(t, candidate(t, "idp__", "person__"))
	var wg sync.WaitGroup
	for i := range 4 {
		token := s.token(m{"sub": fmt.Sprint(i), "groups": []any{"support"}})
		wg.Go(func() {
			for range 25 {
				r := exchange.Request{SubjectToken: token, Parameters: map[string]string{"room": "r"}}
				if _, err := s.Exchange(t.Context(), &r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.Close()
	if got := s.events.Take(); !strings.Contains(got, `"seen":100,"different":100,"widened":100,`) {
		t.Errorf("logged %s", got)
	}
}

// A candidate that panics, as none should, takes nobody along. This one has no
// rules.
func TestShadowThatPanics(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{Issuers: []config.Issuer{{Name: "idp"}}}
	s := shadowed(t, cfg)
	r := exchange.Request{SubjectToken: s.token(nil), TraceID: siteTraceID}
	if _, err := s.Exchange(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	s.Close()
	want := `{"level":"ERROR","msg":"shadow","error":"a panic of type runtime.errorString","trace_id":"` + siteTraceID + `"}` + "\n" + soFar(cfg, 1, 0, 0, 1, 0)
	if diff := cmp.Diff(want, s.events.Take()); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkShadow exchanges one token over and over, without a shadow, with one
// that agrees and with one that never does.
func BenchmarkShadow(b *testing.B) {
	for _, test := range []struct {
		name   string
		shadow *config.Config
	}{
		{"none", nil},
		{"agrees", candidate(b)},
		{"differs", candidate(b, "idp__", "person__")},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := shadowed(b, test.shadow)
			r := exchange.Request{SubjectToken: s.token(nil), TraceID: siteTraceID}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Exchange(b.Context(), &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
