package exchange_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/store"
)

// parse loads a configuration that shares the site's keys.
func (s *site) parse(t testing.TB, configuration string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(configuration), config.Options{ReadFile: func(path string) ([]byte, error) {
		if path == "keys.json" {
			return []byte(toJSON(m{"keys": []any{s.key.JWK()}})), nil
		}
		return os.ReadFile(path)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// reload reloads siteConfig, or base, with changes, of pairs of old and new text.
func (s *site) reload(t testing.TB, base string, pairs ...string) {
	t.Helper()
	cfg := s.parse(t, edit(t, base, pairs...))
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	s.hash = cfg.Hash
}

func edit(t testing.TB, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in the configuration", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// otherAnswer is the usual answer under another prefix of the identity.
func otherAnswer(prefix string) string { return strings.Replace(usualAnswer, "idp__", prefix, 1) }

// A turnstile is a store that lets one request in after the other.
type turnstile struct {
	store.Store
	holding
}

func (g *turnstile) Allow(ctx context.Context, key string, rate config.Rate) (time.Duration, error) {
	g.Write(nil)
	return g.Store.Allow(ctx, key, rate)
}

// TestReloadKeepsRequestsInFlight has a request that begins under one
// configuration end under it, in everything, and the next under the other.
func TestReloadKeepsRequestsInFlight(t *testing.T) {
	t.Parallel()
	base := edit(t, siteConfig, "per_ip: off", "per_ip: 100/s")
	g := &turnstile{holding: *newHolding()}
	s := newSite(t, base, func(o *exchange.Options) {
		g.Store = store.NewMemory(o.Now)
		o.Store = g
	})
	s.events.Take()
	type answer struct{ token, rest, line string }
	answers := make(chan answer)
	post := func() {
		var a answer
		a.token, a.rest = s.exchange(t, form(s.token(nil), "room", "blue-1"))
		a.line = s.audit.Take()
		answers <- a
	}
	withoutID := func(line string) string {
		before, after, _ := strings.Cut(line, `"trace_id":"`)
		return before + after[33:]
	}
	line := func() string {
		return withoutID(s.auditLine("auth0|1", "app", "127.0.0.1", `["everyone"]`, `"outcome":"granted","grants":["chat","sync"],"ttl":3600,`+zerosJTI))
	}
	wantLine := line()

	go post()
	<-g.entered // the request has the first configuration, and its parameters are not read yet
	s.reload(t, base, "idp__", "person__", mainSecret, "YetAnotherSecretOfNoAccount00000", "[a-z0-9-]{1,64}", "[a-z]{1,64}", "name: everyone", "name: all")
	g.release <- struct{}{}
	first := <-answers
	if diff := cmp.Diff(usualAnswer, first.rest); diff != "" {
		t.Errorf("answer in flight (-want +got):\n%s", diff)
	}
	if got := withoutID(first.line); got != wantLine {
		t.Errorf("audit line in flight\n got %s\nwant %s", got, wantLine)
	}
	openTwilio(t, first.token, mainSecret)

	go post()
	<-g.entered
	g.release <- struct{}{}
	if second := <-answers; !strings.Contains(second.rest, `"reason":"invalid_parameter"`) {
		t.Errorf("answer to the parameter of before: %s", second.rest)
	}
	go func() { // and one that is right now
		token, rest := s.exchange(t, form(s.token(nil), "room", "blue"))
		answers <- answer{token, rest, s.audit.Take()}
	}()
	<-g.entered
	g.release <- struct{}{}
	third := <-answers
	if diff := cmp.Diff(otherAnswer("person__"), third.rest); diff != "" {
		t.Errorf("answer afterwards (-want +got):\n%s", diff)
	}
	if got, want := withoutID(third.line), strings.Replace(line(), "everyone", "all", 1); got != want {
		t.Errorf("audit line afterwards\n got %s\nwant %s", got, want)
	}
	openTwilio(t, third.token, "YetAnotherSecretOfNoAccount00000")
}

// TestReloadChanges has what another configuration changes around the exchange.
func TestReloadChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	admin := s.newAdmin(t)
	const wellKnown = "/.well-known/oauth-authorization-server"
	look := func() string {
		var b strings.Builder
		for _, r := range []struct {
			of                         *site
			method, path, header, body string
		}{
			{s, "OPTIONS", "/token", "https://new.example.com", ""},
			{s, "GET", wellKnown, "", ""},
			{s, "POST", "/backchannel-logout/idp", "", ""},
			{admin, "GET", "/decisions", "", ""},
			{admin, "GET", "/readyz", "", ""},
		} {
			h := headers()
			if r.header != "" {
				h.Set("Origin", r.header)
			}
			text := r.of.send(t, r.method, r.path, h, r.body)
			status, _, _ := strings.Cut(text, "\n")
			_, body, _ := strings.Cut(text, "\n\n")
			fmt.Fprintf(&b, "%s %s: %s", r.method, r.path, status)
			if strings.Contains(body, `"status"`) || strings.Contains(body, `"issuer"`) {
				b.WriteString(" " + strings.TrimSpace(body))
			}
			b.WriteString("\n")
		}
		return b.String()
	}
	const metadata = `{"issuer":"%[1]s","token_endpoint":"%[1]s/token","grant_types_supported":["urn:ietf:params:oauth:grant-type:token-exchange"],"token_endpoint_auth_methods_supported":["none"],"scopes_supported":["voice","video","chat","sync","task_router"]}`
	before := "OPTIONS /token: 403\nGET " + wellKnown + ": 200 " + fmt.Sprintf(metadata, "https://token.example.com") +
		"\nPOST /backchannel-logout/idp: 404\nGET /decisions: 200\n" +
		`GET /readyz: 200 {"status":"ready","issuers":[{"issuer":"idp","ready":true,"keys":1},{"issuer":"partner","ready":true,"keys":1}]}` + "\n"
	after := "OPTIONS /token: 204\nGET " + wellKnown + ": 200 " + fmt.Sprintf(metadata, "https://new.example.com") +
		"\nPOST /backchannel-logout/idp: 415\nGET /decisions: 401\n" +
		`GET /readyz: 200 {"status":"ready","issuers":[{"issuer":"idp","ready":true,"keys":1},{"issuer":"associate","ready":true,"keys":1}]}` + "\n"
	if diff := cmp.Diff(before, look()); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	s.reload(t, siteConfig, "allowed_origins: [https://app.example.com,", "allowed_origins: [https://new.example.com, https://app.example.com,",
		"public_url: https://token.example.com", "public_url: https://new.example.com\n  admin_token: ATokenOfOperatorsAlone",
		"    audiences: [app, ios]", "    backchannel_logout: true\n    audiences: [app, ios]", "name: partner", "name: associate")
	if diff := cmp.Diff(after, look()); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
}

// TestReloadKeeps has what outlives a configuration: counts of requests and of
// uses, ended sessions, decisions, and the random key of subject hashes.
func TestReloadKeeps(t *testing.T) {
	t.Parallel()
	base := edit(t, siteConfig, "per_ip: off", "per_ip: 10/m", "audit: {key: "+auditKey+"}\n", "", "    max_token_age: 12h\n", "    max_token_age: 12h\n    max_uses: 1\n    backchannel_logout: true\n")
	s := newSite(t, base, nil)
	admin := s.newAdmin(t)
	hash := func() string {
		_, hash, _ := strings.Cut(s.audit.Take(), `"subject_hash":"`)
		hash, _, _ = strings.Cut(hash, `"`)
		return hash
	}
	want := func(sub, sid, outcome string) {
		t.Helper()
		if got := outcomeOf(s.post(t, form(s.token(m{"sub": sub, "sid": sid})))); got != outcome {
			t.Errorf("%s: %s, want %s", sub, got, outcome)
		}
	}
	want("a", "s0", "granted")
	first := hash()
	if got := s.logOut(t, s.logoutToken(m{"sub": "b"})); got != loggedOut {
		t.Errorf("logging out: %s", got)
	}

	s.reload(t, base, "idp__", "person__", "per_ip: 10/m", "per_ip: 4/m")
	want("a", "s0", "replayed")
	if second := hash(); second != first || first == "" {
		t.Errorf("the subject is %q, and %q after a reload", first, second)
	}
	want("b", "s1", "logged_out")
	want("c", "s2", "granted")
	want("d", "s3", "rate_limited 6") // without the request of before there would be room for it

	var outcomes []string
	for _, part := range strings.Split(admin.send(t, "GET", "/decisions", nil, ""), `"outcome":"`)[1:] {
		outcome, _, _ := strings.Cut(part, `}`)
		outcomes = append(outcomes, strings.ReplaceAll(outcome, `"`, ""))
	}
	if diff := cmp.Diff([]string{"refused,reason:rate_limited", "granted", "refused,reason:logged_out", "refused,reason:replayed", "granted"}, outcomes); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// TestReloadRefused has a configuration that only a restart can serve, and one
// whose keys are none, change nothing, and say so.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	var told []string
	s := newSite(t, siteConfig, func(o *exchange.Options) {
		o.OnReload = func(hash string, err error) { told = append(told, fmt.Sprintf("%s %v", hash, err)) }
	})
	first := s.hash
	want := func(served, toldError, event string) {
		t.Helper()
		if diff := cmp.Diff([]string{served + " " + toldError}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if got := s.events.Take(); got != event+"\n" {
			t.Errorf("event\n got %swant %s", got, event)
		}
		told = nil
	}
	for _, test := range []struct {
		name, from, to, err, event string
	}{
		{"restart", "server:\n", "server:\n  listen: 127.0.0.1:9000\n", "config.yaml:4:11: server.listen: this cannot change while the service runs [needs-restart]\n    4 |   listen: 127.0.0.1:9000\n      |           ^^^^^^^^^^^^^^\n   hint: restart the service, or put back what was there",
			`config.yaml:4:11: server.listen: this cannot change while the service runs [needs-restart]`},
		{"no keys", "jwks_file: keys.json", "jwks_file: testdata/none.json", "issuer idp: the key set has no usable key", "issuer idp: the key set has no usable key"},
	} {
		text := edit(t, siteConfig, test.from, test.to, "idp__", "person__")
		cfg, err := config.Parse("config.yaml", []byte(text), config.Options{ReadFile: func(string) ([]byte, error) {
			if test.name == "no keys" {
				return []byte(`{"keys":[]}`), nil
			}
			return []byte(toJSON(m{"keys": []any{s.key.JWK()}})), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(cfg); err == nil || err.Error() != test.err {
			t.Errorf("%s: error %v, want %s", test.name, err, test.err)
		}
		want(first, test.err, `{"level":"ERROR","msg":"configuration not reloaded; the one before stays in use","error":`+toJSON(test.event)+`,"config":"`+first+`"}`)
		if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(nil)))); diff != "" {
			t.Errorf("%s: answer (-want +got):\n%s", test.name, diff)
		}
	}
	s.ReloadFailed(errors.New("no such file"))
	want(first, "no such file", `{"level":"ERROR","msg":"configuration not reloaded; the one before stays in use","error":"no such file","config":"`+first+`"}`)
	s.reload(t, siteConfig, "idp__", "person__")
	want(s.hash, "<nil>", `{"level":"INFO","msg":"serving","config":"`+s.hash+`"}`)
	if diff := cmp.Diff(otherAnswer("person__"), s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer afterwards (-want +got):\n%s", diff)
	}
}

// TestReloadKeepsKeys counts what providers are asked for: nothing, while what
// leads to their keys is the same, even while they are down.
func TestReloadKeepsKeys(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	base := withProvider(idp)
	s := newSite(t, base, nil)
	idp.Publish(s.key)
	s.Start(t.Context())
	s.awaitReady(t)
	token := func() string { return form(s.token(m{"iss": idp.URL})) }
	wantFetches := func(when string, fetches, discoveries int) {
		t.Helper()
		if f, d := idp.Fetches(), idp.Discoveries(); f != fetches || d != discoveries {
			t.Errorf("%s: %d fetches and %d discoveries, want %d and %d", when, f, d, fetches, discoveries)
		}
	}
	wantFetches("at the start", 1, 1)

	idp.Answer(exchangetest.Down)
	for i, change := range []string{"a__", "b__", "c__"} {
		s.reload(t, base, "idp__", change, "audiences: [app, ios]", fmt.Sprintf("audiences: [app, other%d]", i), "max_token_age: 12h", fmt.Sprintf("max_token_age: %dh", i+1))
		if diff := cmp.Diff(otherAnswer(change), s.post(t, token())); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	}
	wantFetches("with the provider down", 1, 1)

	idp.Answer(nil)
	s.reload(t, base, "    max_token_age", "    jwks_uri: "+idp.URL+"/jwks\n    max_token_age")
	// The answer waits for the keys that are on their way.
	if diff := cmp.Diff(usualAnswer, s.post(t, token())); diff != "" {
		t.Errorf("answer by keys from another place (-want +got):\n%s", diff)
	}
	wantFetches("from another place", 2, 1)
	s.reload(t, base, "    max_token_age", "    jwks_uri: "+idp.URL+"/jwks\n    max_token_age", "[ES256]", "[ES256, ES384]")
	s.post(t, token())
	wantFetches("with other algorithms", 3, 1)
	s.reload(t, base)
	s.post(t, token())
	wantFetches("by discovery again", 4, 2)
}

// TestReloadOfStaticKeys has the keys of a file change.
func TestReloadOfStaticKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	old := form(s.token(nil))
	s.key = exchangetest.NewKey(t, "ES256", "k2")
	s.reload(t, siteConfig)
	if diff := cmp.Diff(usualAnswer, s.post(t, form(s.token(nil)))); diff != "" {
		t.Errorf("answer by the new key (-want +got):\n%s", diff)
	}
	if got := outcomeOf(s.post(t, old)); got != "bad_signature" {
		t.Errorf("the old key: %s", got)
	}
}

// TestReloadStaysReady has a service that was ready stay so, asked or not, though
// a new issuer has no keys; one that never was becomes so without the issuer that
// it waited for.
func TestReloadStaysReady(t *testing.T) {
	t.Parallel()
	down := exchangetest.NewIdP(t)
	down.Answer(exchangetest.Down)
	ready := answerWith(200, `{"status":"ready"}`)

	s := newSite(t, siteConfig, nil)
	s.Start(t.Context())
	s.reload(t, withProvider(down))
	if got := s.send(t, "GET", "/readyz", nil, ""); got != ready {
		t.Errorf("with an issuer that has no keys: %s", got)
	}
	if got := outcomeOf(s.post(t, form(s.token(m{"iss": down.URL})))); got != "keys_unavailable" {
		t.Errorf("of that issuer: %s", got)
	}

	never := newSite(t, withProvider(down), nil)
	never.Start(t.Context())
	if got := never.send(t, "GET", "/readyz", nil, ""); !strings.HasPrefix(got, "503\n") {
		t.Errorf("before it was ready: %s", got)
	}
	never.reload(t, siteConfig)
	if got := never.send(t, "GET", "/readyz", nil, ""); got != ready {
		t.Errorf("without that issuer: %s", got)
	}
}

// TestReloadOfCertificate has the configuration name other files.
func TestReloadOfCertificate(t *testing.T) {
	t.Parallel()
	before, after := newPair(t), newPair(t)
	roots := x509.NewCertPool()
	for i, files := range []pair{before, after} {
		cert, key := newCertificate(t, int64(i+1))
		roots.AppendCertsFromPEM(cert)
		put(t, files.cert, cert, siteTime)
		put(t, files.key, key, siteTime)
	}
	s := prepareSite(t, withTLS(before), nil)
	s.serve(t, t.Context())
	s.url = strings.Replace(s.url, "http://", "https://", 1)
	if got := s.serial(t, roots); got != 1 {
		t.Errorf("certificate %d", got)
	}
	s.reload(t, withTLS(after))
	s.clock.Advance(time.Second)
	if got := s.serial(t, roots); got != 2 {
		t.Errorf("certificate %d after a reload", got)
	}
}

// TestCompareAnew has another candidate take the place of the first, which ends
// with what it saw.
func TestCompareAnew(t *testing.T) {
	t.Parallel()
	first, second := candidate(t, "idp__", "person__"), candidate(t)
	s := shadowed(t, first)
	s.events.Take()
	exchangeOne := func() {
		if _, err := s.Exchange(t.Context(), &exchange.Request{SubjectToken: s.token(nil), TraceID: siteTraceID}); err != nil {
			t.Error(err)
		}
	}
	exchangeOne()
	s.Compare(second)
	exchangeOne()
	s.reload(t, siteConfig, "idp__", "user__")
	exchangeOne()
	s.Close()
	differs := `{"level":"INFO","msg":"shadow differs","trace_id":"` + siteTraceID + `","issuer":"idp","changes":["widens identity"],"widens":true,"live":"granted","shadow":"granted","suppressed":0}` + "\n"
	want := differs + soFar(first, 1, 1, 1, 0, 0) +
		`{"level":"INFO","msg":"comparing","shadow":"` + second.Hash + `"}` + "\n" +
		`{"level":"INFO","msg":"serving","config":"` + s.hash + `"}` + "\n" + differs + soFar(second, 2, 1, 1, 0, 0)
	if diff := cmp.Diff(want, s.events.Take()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestReloadLeaks reloads fifty times with other issuers each time, and wants as
// many goroutines as before. It is not parallel, because it counts.
func TestReloadLeaks(t *testing.T) {
	idp := exchangetest.NewIdP(t)
	base := withProvider(idp)
	s := newSite(t, base, nil)
	idp.Publish(s.key)
	s.Start(t.Context())
	s.awaitReady(t)
	before := runtime.NumGoroutine()
	for i := range 50 {
		s.reload(t, base, "name: idp", fmt.Sprintf("name: idp%d", i))
		if i%10 > 0 { // most end in the middle of a fetch
			continue
		}
		if got := outcomeOf(s.post(t, form(s.token(m{"iss": idp.URL})))); got != "granted" {
			t.Errorf("reload %d: %s", i, got)
		}
	}
	s.reload(t, base)
	await(t, fmt.Sprintf("down to %d goroutines", before), func() bool { return runtime.NumGoroutine() <= before })
}

// TestReloadUnderLoad reloads while many post. Each answer is that of one of the
// configurations that were served between the request's begin and its end.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads = 20
	text := func(n int) string {
		return edit(t, siteConfig, "idp__", fmt.Sprintf("v%d__", n), mainSecret, secretOf(n), "IS0123456789abcdef0123456789abcdef", fmt.Sprintf("IS%032d", n))
	}
	s := newSite(t, text(0), func(o *exchange.Options) { o.Rand = nil })
	var begun, done atomic.Int64 // the latest configuration that may be, and that must be served
	var stop atomic.Bool
	var posts sync.WaitGroup
	var count [reloads + 1]atomic.Int64
	for range 4 {
		posts.Go(func() {
			for !stop.Load() {
				oldest := done.Load()
				token, rest := s.exchange(t, form(s.token(nil)))
				newest := begun.Load()
				_, after, _ := strings.Cut(rest, `"identity":"v`)
				var n int64
				fmt.Sscanf(after, "%d__", &n)
				want := strings.NewReplacer("idp__", fmt.Sprintf("v%d__", n), "IS0123456789abcdef0123456789abcdef", fmt.Sprintf("IS%032d", n)).Replace(usualAnswer)
				if rest != want || n < oldest || n > newest {
					t.Errorf("between %d and %d: %s", oldest, newest, rest)
					return
				}
				openTwilio(t, token, secretOf(int(n)))
				count[n].Add(1)
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		await(t, "answered", func() bool { return count[done.Load()].Load() > 5 || t.Failed() })
		if n%7 == 0 { // it cannot be served
			if err := s.Reload(s.parse(t, edit(t, text(n), "server:\n", "server:\n  admin_listen: \"\"\n"))); err == nil {
				t.Error("a configuration was served that needs a restart")
			}
			continue
		}
		cfg := s.parse(t, text(n))
		begun.Store(int64(n))
		if err := s.Reload(cfg); err != nil {
			t.Error(err)
		}
		done.Store(int64(n))
	}
	await(t, "answered", func() bool { return count[reloads].Load() > 5 || t.Failed() })
	stop.Store(true)
	posts.Wait()
}

func secretOf(n int) string { return fmt.Sprintf("TheSecretOfOneConfiguration%05d", n) }
