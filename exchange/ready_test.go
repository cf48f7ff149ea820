package exchange_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange/exchangetest"
)

// TestPages has what the listeners serve besides tokens.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	atPath := newSite(t, strings.Replace(siteConfig, "https://token.example.com", "https://example.com/sts", 1), nil)
	nowhere := newSite(t, strings.Replace(siteConfig, "  public_url: https://token.example.com\n", "", 1), nil)
	admin := prepareSite(t, siteConfig, nil)
	adminServer := httptest.NewServer(admin.AdminHandler())
	t.Cleanup(adminServer.Close)
	admin.url = adminServer.URL

	const wellKnown = "/.well-known/oauth-authorization-server"
	metadata := func(issuer string) string {
		return strings.Replace(answerWith(200, `{"issuer":"`+issuer+`","token_endpoint":"`+issuer+`/token",`+
			`"grant_types_supported":["urn:ietf:params:oauth:grant-type:token-exchange"],"token_endpoint_auth_methods_supported":["none"],`+
			`"scopes_supported":["voice","video","chat","sync","task_router"]}`), "\n", "\nAccess-Control-Allow-Origin: *\n", 1)
	}
	withoutBody := func(text string) string { return text[:strings.Index(text, "\n\n")+2] }
	onlyGet := func(text string) string { return strings.Replace(text, "405\n", "405\nAllow: OPTIONS, GET, HEAD\n", 1) }
	forAdmin := func(text string) string { return strings.Replace(text, "Vary: Origin\n", "", 1) }
	alive := answerWith(200, `{"status":"alive"}`)
	notFound, notAllowed := malformed(404, "not found"), onlyGet(malformed(405, "method not allowed"))
	for _, test := range []struct {
		name         string
		site         *site
		method, path string
		want         string
	}{
		{"alive", s, "GET", "/healthz", alive},
		{"alive, HEAD", s, "HEAD", "/healthz", withoutBody(alive)},
		{"alive, with a query", s, "GET", "/healthz?probe=1", alive},
		{"alive, POST", s, "POST", "/healthz", notAllowed},
		{"ready", s, "GET", "/readyz", answerWith(200, `{"status":"ready"}`)},
		{"ready, HEAD", s, "HEAD", "/readyz", withoutBody(answerWith(200, ""))},
		{"metadata", s, "GET", wellKnown, metadata("https://token.example.com")},
		{"metadata, HEAD", s, "HEAD", wellKnown, withoutBody(metadata(""))},
		{"metadata, POST", s, "POST", wellKnown, notAllowed},
		{"metadata of a path, where a proxy leaves it", atPath, "GET", wellKnown + "/sts", metadata("https://example.com/sts")},
		{"metadata of a path, where a proxy cut it off", atPath, "GET", wellKnown, metadata("https://example.com/sts")},
		{"metadata of another path", atPath, "GET", wellKnown + "/other", notFound},
		{"no metadata", nowhere, "GET", wellKnown, notFound},
		{"OpenID discovery", s, "GET", "/.well-known/openid-configuration", notFound},
		{"logout not enabled", s, "POST", "/backchannel-logout/idp", notFound},
		{"root", s, "GET", "/", notFound},
		{"operators' page on the public listener", s, "GET", "/metrics", notFound},
		{"lab on the public listener", s, "GET", "/lab", notFound},

		{"admin, alive", admin, "GET", "/healthz", forAdmin(alive)},
		{"admin, ready", admin, "GET", "/readyz", forAdmin(answerWith(200, `{"status":"ready","issuers":[{"issuer":"idp","ready":true,"keys":1},{"issuer":"partner","ready":true,"keys":1}]}`))},
		{"admin, no tokens", admin, "POST", "/token", forAdmin(notFound)},
		{"admin, no metadata", admin, "GET", wellKnown, forAdmin(notFound)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.site.send(t, test.method, test.path, nil, "")); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReady follows a service from its start through a provider's bad days.
func TestReady(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	s := newSite(t, withProvider(idp), nil)
	idp.Publish(s.key)
	adminServer := httptest.NewServer(s.AdminHandler())
	t.Cleanup(adminServer.Close)
	admin := &site{url: adminServer.URL}

	wantReady := func(when string, status int, word, idpState string) {
		t.Helper()
		if got, want := s.send(t, "GET", "/readyz", nil, ""), answerWith(status, `{"status":"`+word+`"}`); got != want {
			t.Errorf("%s: public\n got %s\nwant %s", when, got, want)
		}
		_, got, _ := strings.Cut(admin.send(t, "GET", "/readyz", nil, ""), "\n\n")
		if want := `{"status":"` + word + `","issuers":[{"issuer":"idp",` + idpState + `},{"issuer":"partner","ready":true,"keys":1}]}` + "\n"; got != want {
			t.Errorf("%s: admin\n got %s\nwant %s", when, got, want)
		}
		if got, want := s.send(t, "GET", "/healthz", nil, ""), answerWith(200, `{"status":"alive"}`); got != want {
			t.Errorf("%s: health\n got %s\nwant %s", when, got, want)
		}
	}
	wantReady("before the start", 503, "not ready", `"ready":false,"keys":0`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Start(ctx)
	s.awaitReady(t)
	wantReady("with keys", 200, "ready", `"ready":true,"keys":1,"fetched":"2026-05-28T20:26:40Z"`)
	idp.Answer(exchangetest.Down)
	s.clock.Advance(25 * time.Hour)
	if got, want := s.send(t, "GET", "/readyz", nil, ""), answerWith(200, `{"status":"ready"}`); got != want {
		t.Errorf("with keys that are too old\n got %s\nwant %s", got, want)
	}
	want := waiting(refusalWith(503, "temporarily_unavailable", "the identity provider's keys are not available", "keys_unavailable", "retry"))
	late := s.clock.Now().Unix()
	if diff := cmp.Diff(want, s.post(t, form(s.token(m{"iss": idp.URL, "iat": late, "exp": late + 60})))); diff != "" {
		t.Errorf("answer without keys (-want +got):\n%s", diff)
	}
}

// awaitReady waits until the service is ready.
func (s *site) awaitReady(t testing.TB) {
	t.Helper()
	await(t, "ready", func() bool { return strings.HasPrefix(s.send(t, "GET", "/readyz", nil, ""), "200") })
}

// await waits until yes says so.
func await(t testing.TB, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not %s", what)
		}
	}
}

func TestReadyWithoutWaiting(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	s := newSite(t, strings.Replace(withProvider(idp), "    require:", "    wait_for_keys: false\n    require:", 1), nil)
	if got, want := s.send(t, "GET", "/readyz", nil, ""), answerWith(200, `{"status":"ready"}`); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestReadySaysWhyNot has operators read what is wrong with a provider, in our
// words and not in the provider's.
func TestReadySaysWhyNot(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	idp.Answer(exchangetest.Down)
	s := prepareSite(t, withProvider(idp), nil)
	server := httptest.NewServer(s.AdminHandler())
	t.Cleanup(server.Close)
	s.url = server.URL
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Start(ctx)
	var got string
	await(t, "failed", func() bool {
		got = s.send(t, "GET", "/readyz", nil, "")
		return strings.Contains(got, `"error"`)
	})
	want := strings.Replace(answerWith(503, `{"status":"not ready","issuers":[{"issuer":"idp","ready":false,"keys":0,"error":"discovery: the provider's discovery document could not be read"},`+
		`{"issuer":"partner","ready":true,"keys":1}]}`), "Vary: Origin\n", "", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	event, _, _ := strings.Cut(s.events.Take(), "\n")
	if want := `{"level":"WARN","msg":"keys not fetched","issuer":"idp","error":"discovery: the provider's discovery document could not be read","failures":1}`; event != want {
		t.Errorf("event\n got %s\nwant %s", event, want)
	}
}
