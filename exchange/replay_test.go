package exchange_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/store"
)

// singleUse is siteConfig with an issuer whose tokens are used once.
var singleUse = strings.Replace(siteConfig, "    max_token_age: 12h\n", "    max_token_age: 12h\n    max_uses: 1\n", 1)

var replayed = refusalWith(400, "invalid_request", "the ID token was used too often", "replayed", "reauthenticate")

// twin returns the other ECDSA signature of an ES256 token, which whoever has
// one can compute: (r, n-s) verifies as (r, s) does.
func twin(t testing.TB, token string) string {
	t.Helper()
	i := strings.LastIndexByte(token, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(token[i:])
	if err != nil || len(signature) != 64 {
		t.Fatal(len(signature), err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	s.FillBytes(signature[32:])
	return token[:i] + base64.RawURLEncoding.EncodeToString(signature)
}

// TestMaxUses has a token be used as often as it may, in whatever form.
func TestMaxUses(t *testing.T) {
	t.Parallel()
	for uses, configuration := range map[int]string{1: singleUse, 3: strings.Replace(singleUse, "max_uses: 1", "max_uses: 3", 1)} {
		t.Run(fmt.Sprint(uses), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, configuration, nil)
			token := s.token(nil)
			forms := waysToPost(t, token)
			for i := range len(forms) {
				want := usualAnswer
				if i >= uses {
					want = replayed
				}
				if diff := cmp.Diff(want, forms[i](s)); diff != "" {
					t.Errorf("use %d (-want +got):\n%s", i+1, diff)
				}
			}
			if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(m{"jti": "another"})))); diff != "" {
				t.Errorf("another token (-want +got):\n%s", diff)
			}
			partner := form(s.token(m{"iss": "https://partner.example.com/"}))
			for range uses + 1 {
				if got := outcomeOf(s.post(t, partner)); got != "granted" {
					t.Errorf("of an issuer without max_uses: %s", got)
				}
			}
		})
	}
}

// waysToPost returns ways to post one token.
func waysToPost(t testing.TB, token string) []func(*site) string {
	other := twin(t, token)
	asForm := headers("Content-Type", formType)
	return []func(*site) string{
		func(s *site) string { return s.send(t, "POST", "/token", asForm, form(token)) },
		func(s *site) string {
			return s.send(t, "POST", "/token", headers("Authorization", "Bearer "+token), "")
		},
		func(s *site) string { return s.send(t, "POST", "/token", asForm, form(other)) },
		func(s *site) string {
			return s.send(t, "POST", "/token", headers("Authorization", "bearer   "+other), "")
		},
		func(s *site) string {
			return s.send(t, "POST", "/token", asForm, strings.ReplaceAll(form(token), "e", "%65"))
		},
		func(s *site) string {
			return s.send(t, "POST", "/token", headers("Authorization", "Bearer "+token, "Content-Type", jsonType), `{"client_id":"app"}`)
		},
	}
}

// TestRefusalsCostNoUse has everything that can be refused of a token leave its
// one use, and be refused as itself even when that is spent.
func TestRefusalsCostNoUse(t *testing.T) {
	t.Parallel()
	s := newSite(t, singleUse, nil)
	support := s.token(m{"groups": []string{"support"}})
	broken := support[:len(support)-8] + "AAAAAAAA"
	refusals := []struct{ body, want string }{
		{form(broken), "bad_signature"},
		{form(support, "platform", "symbian"), "invalid_parameter"},
		{form(support, "room", "blue", "scope", "voice"), "invalid_scope"},
		{form(support), "rule_failed"},
		{form(support, "room", "a", "room", "b"), "malformed_request"},
	}
	for _, round := range []string{"granted", "replayed"} {
		for range 2 {
			for _, refusal := range refusals {
				if got := outcomeOf(s.post(t, refusal.body)); got != refusal.want {
					t.Errorf("before %s: %s, want %s", round, got, refusal.want)
				}
			}
		}
		s.audit.Take()
		if got := outcomeOf(s.post(t, form(support, "room", "blue"))); got != round {
			t.Errorf("%s, want %s", got, round)
		}
	}
	line := s.auditLine("auth0|1", "app", "127.0.0.1", `["support","everyone"]`,
		`"outcome":"refused","reason":"replayed","detail":"it was used as often as max_uses allows","grants":["video","chat","sync"],"ttl":14400`)
	if diff := cmp.Diff(line, s.audit.Take()); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// TestUseLivesAsLongAsTheToken has no moment at which a token is accepted and
// its count forgotten.
func TestUseLivesAsLongAsTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, singleUse, nil)
	token := form(s.token(m{"exp": siteTime.Unix() + 2}))
	var got []string
	for range 70 {
		got = append(got, outcomeOf(s.post(t, token)))
		s.clock.Advance(1e9)
	}
	want := append([]string{"granted"}, times(61, "replayed")...) // until exp and the clock skew of a minute
	want = append(want, times(8, "token_expired")...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("each second (-want +got):\n%s", diff)
	}
}

func times(n int, s string) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

// TestUseWithoutStore has a store that cannot count, and what on_failure makes
// of that.
func TestUseWithoutStore(t *testing.T) {
	t.Parallel()
	for onFailure, want := range map[string]string{
		"refuse":         waiting(refusalWith(503, "temporarily_unavailable", "a part of this service is not available", "store_unavailable", "retry")),
		"insecure_allow": usualAnswer,
	} {
		t.Run(onFailure, func(t *testing.T) {
			t.Parallel()
			l := &ledger{noUse: true}
			s := newSite(t, singleUse+"store: {redis: {url: \"redis://localhost\", on_failure: "+onFailure+"}}\n", func(o *exchange.Options) {
				l.Store = store.NewMemory(o.Now)
				o.Store = l
			})
			s.events.Take()
			token := form(s.token(nil))
			if diff := cmp.Diff(want, s.post(t, token)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			event := `{"level":"ERROR","msg":"store","error":"the store is away","trace_id":"` + siteTraceID + `","suppressed":0}` + "\n"
			if diff := cmp.Diff(event, s.events.Take()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			l.mu.Lock()
			l.noUse = false
			l.mu.Unlock()
			if diff := cmp.Diff(usualAnswer, s.post(t, token)); diff != "" {
				t.Errorf("answer afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// newReplicas returns sites with one configuration and one key, each with a
// client of its own of the Redis at url.
func newReplicas(t testing.TB, n int, configuration, url string) []*site {
	t.Helper()
	key := exchangetest.NewKey(t, "ES256", "k1")
	keys, err := json.Marshal(m{"keys": []any{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "shared.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	replicas := make([]*site, n)
	for i := range replicas {
		replicas[i] = newSite(t, strings.ReplaceAll(configuration, "jwks_file: keys.json", "jwks_file: "+file), func(o *exchange.Options) {
			shared, err := exchange.OpenStore(&config.Config{Store: config.Store{RedisURL: config.NewSecret(url)}}, o.Now, o.Log)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { shared.Close() })
			o.Store = shared
		})
		replicas[i].key = key
	}
	return replicas
}

// TestUsedOnceAtOnce posts one token fifty times at once, in all its forms, and
// wants one answer with a Twilio token.
func TestUsedOnceAtOnce(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) []*site{
		"one replica":    func(t *testing.T) []*site { return []*site{newSite(t, singleUse, nil)} },
		"three replicas": func(t *testing.T) []*site { return newReplicas(t, 3, singleUse, exchangetest.NewRedis(t).URL()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicas := open(t)
			for round := range 5 {
				posts := waysToPost(t, replicas[0].token(m{"jti": fmt.Sprint(round)}))
				answers := make([]string, 50)
				var wg sync.WaitGroup
				for i := range answers {
					wg.Go(func() { answers[i] = posts[i%len(posts)](replicas[i%len(replicas)]) })
				}
				wg.Wait()
				granted := 0
				for _, answer := range answers {
					switch answer {
					case usualAnswer:
						granted++
					case replayed:
					default:
						// Signatures that wait for a processor are not the matter here.
						if outcomeOf(answer) != "overloaded" {
							t.Errorf("answer %s", answer)
						}
					}
				}
				if granted != 1 {
					t.Errorf("round %d: %d Twilio tokens", round, granted)
				}
			}
		})
	}
}

// TestSharedLimits has replicas count together.
func TestSharedLimits(t *testing.T) {
	t.Parallel()
	replicas := newReplicas(t, 3, limited("{per_ip: 5/h, per_subject: off, failures_per_ip: off}"), exchangetest.NewRedis(t).URL())
	body := form(replicas[0].token(nil))
	var got []string
	for i := range 7 {
		outcome, _, _ := strings.Cut(outcomeOf(replicas[i%3].post(t, body)), " ")
		got = append(got, outcome)
	}
	if diff := cmp.Diff(append(times(5, "granted"), times(2, "rate_limited")...), got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// TestRedisRestarts kills and restarts Redis while many post, and wants no token
// to be used twice, what the configuration says in the meantime, and nothing
// forgotten afterwards.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	server := exchangetest.NewRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	replicas := newReplicas(t, 2, singleUse, server.URL())
	careless := newReplicas(t, 1, strings.NewReplacer("limits: {per_ip: off", "limits: {per_ip: 3/h").Replace(singleUse)+
		"store: {redis: {url: \"redis://localhost\", on_failure: insecure_allow}}\n", server.URL())[0]
	unavailable := waiting(refusalWith(503, "temporarily_unavailable", "a part of this service is not available", "store_unavailable", "retry"))

	bodies := make([]string, 200)
	for i := range bodies {
		bodies[i] = form(replicas[0].token(m{"jti": fmt.Sprint(i)}))
	}
	used, carelessly := bodies[0], form(careless.token(nil))
	if got := outcomeOf(replicas[0].post(t, used)); got != "granted" {
		t.Fatal(got)
	}
	careless.post(t, carelessly)

	granted := make([]atomic.Int64, len(bodies))
	granted[0].Add(1)
	var answered, refused atomic.Int64
	reached := make(chan struct{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				n := i % len(bodies)
				switch outcome := outcomeOf(replicas[i%2].post(t, bodies[n])); outcome {
				case "granted":
					granted[n].Add(1)
				case "store_unavailable":
					refused.Add(1)
				case "replayed", "overloaded":
				default:
					t.Errorf("answer %s", outcome)
				}
				if answered.Add(1) == 100 {
					close(reached)
				}
			}
		})
	}
	<-reached
	server.Kill()
	await(t, "refusing", func() bool { return refused.Load() > 20 })
	if diff := cmp.Diff(unavailable, replicas[1].post(t, used)); diff != "" {
		t.Errorf("a used token, without Redis (-want +got):\n%s", diff)
	}
	// What has been posted to Redis before counts by its own memory from here.
	var got []string
	for range 4 {
		outcome, _, _ := strings.Cut(outcomeOf(careless.post(t, carelessly)), " ")
		got = append(got, outcome)
	}
	if diff := cmp.Diff([]string{"granted", "granted", "granted", "rate_limited"}, got); diff != "" {
		t.Errorf("with insecure_allow, without Redis (-want +got):\n%s", diff)
	}

	server.Restart(t)
	await(t, "answering", func() bool { return outcomeOf(replicas[1].post(t, used)) == "replayed" })
	close(stop)
	wg.Wait()
	await(t, "answering", func() bool { return outcomeOf(replicas[0].post(t, used)) == "replayed" })
	for n, body := range bodies {
		var outcome string
		await(t, "answering", func() bool {
			outcome = outcomeOf(replicas[n%2].post(t, body))
			return outcome != "store_unavailable" // a busy disk
		})
		before := granted[n].Load()
		if outcome == "granted" && before > 0 || outcome != "granted" && outcome != "replayed" {
			t.Errorf("token %d was granted %d times, and then was %s", n, before, outcome)
		}
	}
	if got := outcomeOf(careless.send(t, "POST", "/token", http.Header{"Content-Type": {formType}, "X-Forwarded-For": {"198.51.100.7"}}, carelessly)); got != "replayed" {
		t.Errorf("with insecure_allow, with Redis again: %s", got)
	}
}
