package exchange_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/store"
)

// limited is siteConfig with these limits.
func limited(limits string) string {
	return strings.Replace(siteConfig, "limits: {per_ip: off, per_subject: off, failures_per_ip: off}", "limits: "+limits, 1)
}

// rateLimited is the text of an answer that asks to wait.
func rateLimited(seconds int) string {
	return strings.Replace(refusalWith(429, "temporarily_unavailable", "too many requests", "rate_limited", "retry"),
		"Vary:", fmt.Sprintf("Retry-After: %d\nVary:", seconds), 1)
}

// TestLimits plays through who asked how often, each request a step. The answer
// to each is granted, a reason, or rate_limited and the seconds to wait.
func TestLimits(t *testing.T) {
	t.Parallel()
	const one, other = "198.51.100.7", "198.51.100.8"
	type step struct {
		after time.Duration // since the step before
		from  string        // X-Forwarded-For of a trusted proxy
		what  string        // good, or one of the requests below
		want  string
	}
	const perIP, failures, perSubject = "{per_ip: 3/m, per_subject: off, failures_per_ip: off}",
		"{per_ip: off, per_subject: off, failures_per_ip: 2/m}", "{per_ip: off, per_subject: 2/m, failures_per_ip: off}"
	for _, test := range []struct {
		name, limits string
		steps        []step
	}{
		{"a burst, then one for one", perIP, []step{
			{0, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "rate_limited 20"},
			{19 * time.Second, one, "good", "rate_limited 1"}, {time.Second, one, "good", "granted"}, {0, one, "good", "rate_limited 20"},
			{time.Hour, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "rate_limited 20"}}},
		{"each address by itself", perIP, []step{
			{0, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "rate_limited 20"},
			{0, other, "good", "granted"}, {0, "::ffff:" + one, "good", "rate_limited 20"}, {0, "1.1.1.1, " + one, "good", "rate_limited 20"}}},
		{"IPv6 by /64", perIP, []step{
			{0, "2001:db8::1", "good", "granted"}, {0, "2001:db8::2", "good", "granted"}, {0, "2001:db8:0:0:ffff::", "good", "granted"},
			{0, "2001:db8::3", "good", "rate_limited 20"}, {0, "2001:db8:0:1::3", "good", "granted"}}},
		{"before form, parameters and token", perIP, []step{
			{0, one, "bad form", "malformed_request"}, {0, one, "bad parameter", "invalid_parameter"}, {0, one, "forged", "bad_signature"},
			{0, one, "bad form", "rate_limited 20"}, {0, one, "forged", "rate_limited 20"}}},
		{"after method, media type, size and Origin", perIP, []step{
			{0, one, "GET", "malformed_request"}, {0, one, "preflight", "204"}, {0, one, "bad media type", "malformed_request"},
			{0, one, "too large", "malformed_request"}, {0, one, "bad origin", "origin_not_allowed"},
			{0, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "granted"}, {0, one, "good", "rate_limited 20"},
			{0, one, "GET", "malformed_request"}, {0, one, "bad media type", "malformed_request"}, {0, one, "too large", "malformed_request"},
			{0, one, "bad origin", "origin_not_allowed"}}},
		{"failures", failures, []step{
			{0, one, "forged", "bad_signature"}, {0, one, "good", "granted"}, {0, one, "malformed", "malformed_token"},
			{0, one, "good", "rate_limited 30"}, {0, one, "forged", "rate_limited 30"}, {0, one, "bad form", "rate_limited 30"}, {0, other, "good", "granted"},
			{30 * time.Second, one, "good", "granted"}, {0, one, "malformed", "malformed_token"}, {0, one, "good", "rate_limited 30"},
			{30 * time.Second, one, "good", "granted"}, {0, one, "good", "granted"}}},
		{"no failures", failures, []step{
			{0, one, "expired", "token_expired"}, {0, one, "expired", "token_expired"}, {0, one, "denied", "denied"}, {0, one, "denied", "denied"},
			{0, one, "unknown issuer", "unknown_issuer"}, {0, one, "unknown issuer", "unknown_issuer"}, {0, one, "bad form", "malformed_request"},
			{0, one, "bad form", "malformed_request"}, {0, one, "unsigned", "unsupported_token"}, {0, one, "unsigned", "unsupported_token"}, {0, one, "good", "granted"}}},
		{"subject", perSubject, []step{
			{0, one, "good", "granted"}, {0, other, "good", "granted"}, {0, one, "good", "rate_limited 30"}, {0, one, "someone else", "granted"},
			{0, one, "other issuer", "granted"}, {30 * time.Second, one, "good", "granted"}, {0, one, "good", "rate_limited 30"}}},
		{"subject, after the token and its origins, before the rules", perSubject, []step{
			{0, one, "forged", "bad_signature"}, {0, one, "forged", "bad_signature"}, {0, one, "expired", "token_expired"},
			{0, one, "origin of another issuer", "origin_not_allowed"}, {0, one, "origin of another issuer", "origin_not_allowed"},
			{0, one, "other issuer", "granted"}, {0, one, "denied", "denied"}, {0, one, "guest", "requirement_failed"}, {0, one, "denied", "rate_limited 30"}}},
		{"off", "{per_ip: off, per_subject: off, failures_per_ip: off}", []step{
			{0, one, "forged", "bad_signature"}, {0, one, "forged", "bad_signature"}, {0, one, "good", "granted"}, {0, one, "good", "granted"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, limited(test.limits), nil)
			forged := exchangetest.NewKey(t, "ES256", "k1").Token(claims(nil))
			tokens := map[string]string{
				"good":           s.token(nil),
				"someone else":   s.token(m{"sub": "auth0|2"}),
				"other issuer":   s.token(m{"iss": "https://partner.example.com/"}),
				"denied":         s.token(m{"groups": []string{"suspended"}}),
				"guest":          s.token(m{"groups": []string{"guest"}}),
				"expired":        s.token(m{"exp": siteTime.Unix() - 60}),
				"unknown issuer": s.token(m{"iss": "https://nobody.example.com"}),
				"unsigned":       "eyJhbGciOiJub25lIn0.e30.",
				"malformed":      "x",
				"forged":         forged,
			}
			for i, step := range test.steps {
				s.clock.Advance(step.after)
				h := headers("X-Forwarded-For", step.from, "Content-Type", formType)
				method, body := "POST", form(tokens[step.what])
				switch step.what {
				case "GET":
					method = "GET"
				case "preflight":
					method = "OPTIONS"
				case "bad media type":
					h.Set("Content-Type", "text/plain")
				case "too large":
					body = strings.Repeat("x", 33<<10)
				case "bad origin":
					h.Set("Origin", "https://evil.example.com")
				case "origin of another issuer":
					h.Set("Origin", appOrigin)
					body = form(tokens["other issuer"])
				case "bad form":
					body = "%zz"
				case "bad parameter":
					body = form(tokens["good"], "platform", "symbian")
				}
				if got := outcomeOf(s.send(t, method, "/token", h, body)); got != step.want {
					t.Errorf("step %d, %s from %s: %s, want %s", i+1, step.what, step.from, got, step.want)
				}
			}
		})
	}
}

// outcomeOf is granted, a reason, or a status, of an answer; where that is to
// wait for its own time, with the seconds.
func outcomeOf(answer string) string {
	_, reason, refused := strings.Cut(answer, `"reason":"`)
	reason, _, _ = strings.Cut(reason, `"`)
	_, wait, waits := strings.Cut(answer, "Retry-After: ")
	wait, _, _ = strings.Cut(wait, "\n")
	switch {
	case strings.Contains(answer, `"access_token"`):
		return "granted"
	case reason == "rate_limited" && waits:
		return reason + " " + wait
	case refused:
		return reason
	}
	return answer[:3]
}

// TestRateLimitedAnswers has the whole answers, and what is written of them.
func TestRateLimitedAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, limited("{per_ip: 2/m, per_subject: 1/m, failures_per_ip: off}"), nil)
	bearer := headers("Authorization", "Bearer "+s.token(nil), "Origin", appOrigin, "X-Forwarded-For", "198.51.100.7")
	s.send(t, "POST", "/token", bearer, "")
	s.audit.Take()
	if diff := cmp.Diff(forOrigin(appOrigin, rateLimited(60)), s.send(t, "POST", "/token", bearer, "")); diff != "" {
		t.Errorf("too many of a person (-want +got):\n%s", diff)
	}
	line := s.auditLine("auth0|1", "app", "198.51.100.7", `[]`, `"outcome":"refused","reason":"rate_limited","detail":"too many requests of this subject"`)
	if diff := cmp.Diff(line, s.audit.Take()); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	s.events.Take()
	if diff := cmp.Diff(forOrigin(appOrigin, rateLimited(30)), s.send(t, "POST", "/token", bearer, "")); diff != "" {
		t.Errorf("too many of an address (-want +got):\n%s", diff)
	}
	event := `{"level":"INFO","msg":"refused","reason":"rate_limited","detail":"rate_limited: too many requests from this address","issuer":"","kid":"","address":"198.51.100.7","trace_id":"` + siteTraceID + `","suppressed":0}` + "\n"
	if diff := cmp.Diff(event, s.events.Take()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestForgedForwarded has a client that writes X-Forwarded-For itself be limited
// as who it is, and be told of once.
func TestForgedForwarded(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(limited("{per_ip: 3/m, per_subject: off, failures_per_ip: off}"), "127.0.0.0/8, ", "", 1), nil)
	s.events.Take()
	for i, want := range []string{"granted", "granted", "granted", "rate_limited 20", "rate_limited 20"} {
		h := headers("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i), "Content-Type", formType)
		if got := outcomeOf(s.send(t, "POST", "/token", h, form(s.token(nil)))); got != want {
			t.Errorf("request %d: %s, want %s", i+1, got, want)
		}
	}
	s.Close()
	s.Close()
	var got []string
	for line := range strings.Lines(s.events.Take()) {
		if strings.Contains(line, "Forwarded") {
			got = append(got, line)
		}
	}
	want := []string{
		`{"level":"WARN","msg":"X-Forwarded-For is not believed, because server.trusted_proxies does not list who sent it; if that is a proxy of yours, all its clients count as one","peer":"127.0.0.1"}` + "\n",
		`{"level":"INFO","msg":"X-Forwarded-For was not believed","requests":5}` + "\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A moody store answers no rates while it is away, and counts how often it was
// asked.
type moody struct {
	store.Store
	away  atomic.Bool
	asked atomic.Int64
}

func (s *moody) Allow(ctx context.Context, key string, rate config.Rate) (time.Duration, error) {
	s.asked.Add(1)
	if s.away.Load() {
		return 0, errNoStore
	}
	return s.Store.Allow(ctx, key, rate)
}

// TestLimitsWithoutStore has limits go on in memory while the store is away,
// which is asked once a second, and be shared again afterwards.
func TestLimitsWithoutStore(t *testing.T) {
	t.Parallel()
	var shared moody
	s := newSite(t, limited("{per_ip: 2/m, per_subject: off, failures_per_ip: off}"), func(o *exchange.Options) {
		shared.Store = store.NewMemory(o.Now)
		o.Store = &shared
	})
	s.events.Take()
	post := func() string { return outcomeOf(s.post(t, form(s.token(nil)))) }
	for i, step := range []struct {
		away  bool
		after time.Duration
		want  string
		asked int64 // in all
	}{
		{false, 0, "granted", 1},
		{true, 0, "granted", 2}, // by the memory of its own
		{true, 0, "granted", 2},
		{true, 0, "rate_limited 30", 2},
		{true, 999 * time.Millisecond, "rate_limited 30", 2},
		{true, time.Millisecond, "rate_limited 29", 3},
		{false, 0, "rate_limited 29", 3}, // nobody has seen that it is back
		{false, time.Second, "granted", 4},
		{false, 0, "rate_limited 28", 5},
	} {
		shared.away.Store(step.away)
		s.clock.Advance(step.after)
		if got := post(); got != step.want || shared.asked.Load() != step.asked {
			t.Errorf("step %d: %s, asked %d times, want %s and %d", i+1, got, shared.asked.Load(), step.want, step.asked)
		}
	}
	var got []string
	for line := range strings.Lines(s.events.Take()) {
		if strings.Contains(line, `"limits `) {
			got = append(got, line)
		}
	}
	want := []string{
		`{"level":"ERROR","msg":"limits are this replica's own: the store did not answer","error":"the store is away"}` + "\n",
		`{"level":"INFO","msg":"limits are shared again"}` + "\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
