package devidp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"twilio-sts/exchange/devidp"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A clock stands still until a test moves it.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration // added behind every look
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now
	c.now = c.now.Add(c.step)
	return now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func realms() []devidp.Realm {
	return []devidp.Realm{
		{Name: "dev", Audiences: []string{"web", "phone"}, Personas: []devidp.Persona{
			{Name: "agent", Description: "answers calls", Claims: map[string]any{"sub": "agent-7", "groups": []string{"agents"}}},
			{Name: "plain", Description: "has no claims"},
			{Name: "liar", Description: "says what only the provider may", Claims: map[string]any{
				"sub": "liar", "iss": "https://accounts.example.com", "aud": "other", "azp": "other", "iat": 1, "exp": 1 << 40, "nbf": 1 << 40, "auth_time": 1,
			}},
		}},
		{Name: "second", Audiences: []string{"other"}, Personas: []devidp.Persona{{Name: "agent"}}},
	}
}

// An idp is a provider that listens, with a browser that follows no redirect.
type idp struct {
	*testing.T
	provider *devidp.Provider
	clock    *clock
	url      string
	http     *http.Client
}

func serve(t *testing.T, realms []devidp.Realm) *idp {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	c := &clock{now: start}
	base := "http://" + server.Listener.Addr().String()
	provider, err := devidp.New(base, devidp.Options{Now: c.Now, Realms: realms, Origins: []string{"https://app.example.com", "capacitor://localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = provider.Handler()
	server.Start()
	t.Cleanup(server.Close)
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &idp{T: t, provider: provider, clock: c, url: base, http: client}
}

// in returns the same provider for a subtest.
func (p *idp) in(t *testing.T) *idp {
	sub := *p
	sub.T = t
	return &sub
}

// An answer is a response read to its end.
type answer struct {
	status   int
	header   http.Header
	body     string
	location *url.URL
}

func (p *idp) do(method, target string, form url.Values) answer {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		p.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := p.http.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	if text := resp.Header.Get("Location"); text != "" {
		if a.location, err = url.Parse(text); err != nil {
			p.Fatal(err)
		}
	}
	return a
}

func (p *idp) get(target string) answer                   { return p.do(http.MethodGet, target, nil) }
func (p *idp) post(target string, form url.Values) answer { return p.do(http.MethodPost, target, form) }

// claims verifies an ID token as an app would, by the keys that the realm
// serves, and returns what it says. The token's id, random, is checked and
// taken out.
func (p *idp) claims(realm, clientID, idToken string) map[string]any {
	p.Helper()
	discovered, err := oidc.NewProvider(p.Context(), p.provider.Issuer(realm))
	if err != nil {
		p.Fatal(err)
	}
	token, err := discovered.Verifier(&oidc.Config{ClientID: clientID, Now: p.clock.Now}).Verify(p.Context(), idToken)
	if err != nil {
		p.Fatalf("the ID token does not verify: %v", err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		p.Fatal(err)
	}
	if id, _ := claims["jti"].(string); len(id) < 20 {
		p.Errorf("jti = %v, want a random text", claims["jti"])
	}
	delete(claims, "jti")
	return claims
}

// own are the claims that the provider says of a token made now.
func (p *idp) own(realm, clientID string, and map[string]any) map[string]any {
	now := float64(p.clock.Now().Unix())
	claims := map[string]any{"iss": p.url + "/" + realm, "aud": clientID, "azp": clientID, "iat": now, "auth_time": now, "exp": now + 3600}
	maps.Copy(claims, and)
	return claims
}

// app is an app of the realm dev as golang.org/x/oauth2 and go-oidc make one.
func (p *idp) app(style oauth2.AuthStyle) oauth2.Config {
	p.Helper()
	discovered, err := oidc.NewProvider(p.Context(), p.provider.Issuer("dev"))
	if err != nil {
		p.Fatal(err)
	}
	endpoint := discovered.Endpoint()
	endpoint.AuthStyle = style
	return oauth2.Config{ClientID: "web", RedirectURL: "http://localhost:3000/callback?page=1", Endpoint: endpoint, Scopes: []string{"openid"}}
}

const verifier = "a-verifier-of-at-least-43-characters-and-unreserved"

func (p *idp) authorizeURL() string {
	app := p.app(oauth2.AuthStyleInParams)
	return app.AuthCodeURL("xyz", oauth2.S256ChallengeOption(verifier))
}

// code signs agent in and returns the code.
func (p *idp) code() string {
	p.Helper()
	a := p.post(p.authorizeURL(), url.Values{"persona": {"agent"}})
	if a.location == nil || a.location.Query().Get("code") == "" {
		p.Fatalf("no code: %d %s", a.status, a.body)
	}
	return a.location.Query().Get("code")
}

func redemption(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"web"},
		"redirect_uri": {"http://localhost:3000/callback?page=1"}, "code_verifier": {verifier}}
}

// action returns where the page's forms go.
func (p *idp) action(page, pageURL string) string {
	p.Helper()
	match := regexp.MustCompile(`<form method="post" action="([^"]*)"`).FindStringSubmatch(page)
	if match == nil {
		p.Fatalf("no form on the page:\n%s", page)
	}
	base, err := url.Parse(pageURL)
	if err != nil {
		p.Fatal(err)
	}
	target, err := base.Parse(html.UnescapeString(match[1]))
	if err != nil {
		p.Fatal(err)
	}
	return target.String()
}

func TestNewRefusesToLeaveLoopback(t *testing.T) {
	for _, base := range []string{
		"https://127.0.0.1:8082", "http://192.168.1.2:8082", "http://0.0.0.0:8082", "http://[::]:8082", "http://example.com",
		"http://localhost.example.com", "http://127.0.0.1.nip.io", "http://127.0.0.1:8082/", "http://127.0.0.1:8082/path", "http://127.0.0.1?q", "http://127.0.0.1:8082?",
		"http://127.0.0.1#here", "http://somebody@127.0.0.1", "127.0.0.1:8082", "", "http://%",
	} {
		t.Run(base, func(t *testing.T) {
			_, err := devidp.New(base, devidp.Options{})
			want := "devidp: " + base + " is not http on loopback, and the development provider goes nowhere else"
			if err == nil || err.Error() != want {
				t.Errorf("error = %v, want %s", err, want)
			}
		})
	}
	for _, base := range []string{"http://127.0.0.1:8082", "http://127.9.8.7", "http://[::1]:8082", "http://localhost:8082"} {
		t.Run(base, func(t *testing.T) {
			p, err := devidp.New(base, devidp.Options{Realms: realms()})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := p.Issuer("dev"), base+"/dev"; got != want {
				t.Errorf("issuer = %s, want %s", got, want)
			}
		})
	}
}

func TestNewNeedsAnAudience(t *testing.T) {
	_, err := devidp.New("http://localhost", devidp.Options{Realms: []devidp.Realm{{Name: "dev"}}})
	if want := "devidp: realm dev has no audience"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestHandlerServesThisMachineAlone(t *testing.T) {
	provider, err := devidp.New("http://localhost:8082", devidp.Options{Realms: realms()})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, peer, host string
		want             int
	}{
		{"IPv4", "127.0.0.1:50000", "127.0.0.1:8082", 200},
		{"IPv6", "[::1]:50000", "[::1]:8082", 200},
		{"IPv6 without a port", "[::1]:50000", "[::1]", 200},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:50000", "localhost:8082", 200},
		{"host without a port", "127.0.0.1:50000", "localhost", 200},
		{"peer in the local network", "192.168.1.5:50000", "localhost:8082", 403},
		{"peer of a container network", "172.17.0.1:50000", "localhost:8082", 403},
		{"peer by IPv6", "[2001:db8::1]:50000", "localhost:8082", 403},
		{"peer unknown", "", "localhost:8082", 403},
		{"peer by a socket file", "@", "localhost:8082", 403},
		{"rebound name", "127.0.0.1:50000", "evil.example:8082", 403},
		{"name that begins as loopback", "127.0.0.1:50000", "127.0.0.1.evil.example", 403},
		{"name that ends as loopback", "127.0.0.1:50000", "evil.localhost.example", 403},
		{"address of this machine elsewhere", "127.0.0.1:50000", "192.168.1.2:8082", 403},
		{"no host", "127.0.0.1:50000", "", 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/dev/id_token?persona=agent", nil)
			r.RemoteAddr, r.Host = tt.peer, tt.host
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
			w := httptest.NewRecorder()
			provider.Handler().ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Fatalf("status = %d, want %d", w.Code, tt.want)
			}
			if want := "the development provider is for this machine alone\n"; tt.want == 403 && w.Body.String() != want {
				t.Errorf("body = %q, want %q", w.Body, want)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	p := serve(t, realms())
	a := p.get(p.url + "/second/.well-known/openid-configuration")
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	issuer := p.url + "/second"
	want := map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         issuer + "/authorize",
		"token_endpoint":                                 issuer + "/token",
		"device_authorization_endpoint":                  issuer + "/device_authorization",
		"jwks_uri":                                       issuer + "/jwks",
		"response_types_supported":                       []any{"code"},
		"grant_types_supported":                          []any{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"},
		"subject_types_supported":                        []any{"public"},
		"id_token_signing_alg_values_supported":          []any{"RS256"},
		"token_endpoint_auth_methods_supported":          []any{"none"},
		"code_challenge_methods_supported":               []any{"S256"},
		"scopes_supported":                               []any{"openid"},
		"authorization_response_iss_parameter_supported": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}

	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(p.get(issuer+"/jwks").body), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 {
		t.Fatalf("%d keys, want 1", len(set.Keys))
	}
	if n, err := base64.RawURLEncoding.DecodeString(set.Keys[0]["n"]); err != nil || len(n) != 256 {
		t.Errorf("modulus of %d bytes (%v), want 256", len(n), err)
	}
	delete(set.Keys[0], "n")
	if diff := cmp.Diff(map[string]string{"kty": "RSA", "kid": "dev", "alg": "RS256", "use": "sig", "e": "AQAB"}, set.Keys[0]); diff != "" {
		t.Errorf("key (-want +got), private members have no place in it:\n%s", diff)
	}
}

func TestIDTokenForCurl(t *testing.T) {
	p := serve(t, realms())
	tests := []struct {
		name, query, client string
		want                map[string]any
	}{
		{"first audience by default", "persona=agent", "web", map[string]any{"sub": "agent-7", "groups": []any{"agents"}}},
		{"audience asked for", "persona=agent&audience=phone", "phone", map[string]any{"sub": "agent-7", "groups": []any{"agents"}}},
		{"sub is the name unless given", "persona=plain", "web", map[string]any{"sub": "plain"}},
		{"no claim overrides the provider's", "persona=liar", "web", map[string]any{"sub": "liar"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			a := p.get(p.url + "/dev/id_token?" + tt.query)
			if a.status != 200 || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Fatalf("answer = %d %s: %s", a.status, a.header.Get("Content-Type"), a.body)
			}
			// $(curl ...) takes off trailing newlines and nothing else.
			token := strings.TrimRight(a.body, "\n")
			if diff := cmp.Diff(p.own("dev", tt.client, tt.want), p.claims("dev", tt.client, token)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
			if want := `{"alg":"RS256","kid":"dev","typ":"JWT"}`; err != nil || string(header) != want {
				t.Errorf("header = %s, want %s", header, want)
			}
		})
	}

	t.Run("each token is another one", func(t *testing.T) {
		target := p.url + "/dev/id_token?persona=agent"
		if first, second := p.get(target).body, p.get(target).body; first == second {
			t.Error("two tokens of the same second are the same, so one spent once would spend both")
		}
	})

	refusals := []struct {
		name, target string
		status       int
		want         string
	}{
		{"nobody", "/dev/id_token", 400, "no persona has this name; there are agent, plain, liar\n"},
		{"unknown persona", "/dev/id_token?persona=Agent", 400, "no persona has this name; there are agent, plain, liar\n"},
		{"persona of another realm", "/second/id_token?persona=plain", 400, "no persona has this name; there are agent\n"},
		{"unknown audience", "/dev/id_token?persona=agent&audience=other", 400, "no client has this id; there are web, phone\n"},
	}
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			a := p.in(t).get(p.url + tt.target)
			if a.status != tt.status || a.body != tt.want {
				t.Errorf("answer = %d %q, want %d %q", a.status, a.body, tt.status, tt.want)
			}
		})
	}
}

func TestClaimsThatCannotBeSigned(t *testing.T) {
	p := serve(t, []devidp.Realm{{Name: "dev", Audiences: []string{"web"}, Personas: []devidp.Persona{{Name: "odd", Claims: map[string]any{"f": func() {}}}}}})
	a := p.get(p.url + "/dev/id_token?persona=odd")
	if want := "json: unsupported type: func()\n"; a.status != 400 || a.body != want {
		t.Errorf("answer = %d %q, want 400 %q", a.status, a.body, want)
	}
	code := p.post(p.authorizeURL(), url.Values{"persona": {"odd"}}).location.Query().Get("code")
	a = p.post(p.url+"/dev/token", redemption(code))
	if want := `{"error":"invalid_request","error_description":"json: unsupported type: func()"}` + "\n"; a.status != 400 || a.body != want {
		t.Errorf("answer = %d %s, want 400 %s", a.status, a.body, want)
	}
}

// The key of one run is of no use in another: a token that leaks dies with it.
func TestKeysDifferBetweenRuns(t *testing.T) {
	first, second := serve(t, realms()), serve(t, realms())
	if first.get(first.url+"/dev/jwks").body == second.get(second.url+"/dev/jwks").body {
		t.Error("two providers have one key")
	}
}

func TestNoSuchRealm(t *testing.T) {
	p := serve(t, realms())
	for _, target := range []string{
		"GET /nobody/.well-known/openid-configuration", "GET /nobody/jwks", "GET /nobody/id_token?persona=agent", "GET /nobody/authorize",
		"POST /nobody/authorize", "POST /nobody/token", "POST /nobody/device_authorization", "GET /nobody/device", "POST /nobody/device",
	} {
		t.Run(target, func(t *testing.T) {
			method, path, _ := strings.Cut(target, " ")
			a := p.in(t).do(method, p.url+path, url.Values{})
			if a.status != 404 || !strings.Contains(a.body, "There is no issuer of this name here.") {
				t.Errorf("answer = %d %s", a.status, a.body)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	p := serve(t, realms())
	// With style-src alone nothing can run, and a form may lead anywhere:
	// form-action would stop the redirect to the app that asked.
	const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
	tests := []struct {
		target    string
		anyOrigin string
		policy    string
	}{
		{"GET /", "", policy},
		{"GET /dev/authorize", "", policy},
		{"GET /dev/device", "", policy},
		{"GET /dev/.well-known/openid-configuration", "*", ""},
		{"GET /dev/jwks", "*", ""},
		{"GET /dev/id_token?persona=agent", "", ""},
		{"POST /dev/token", "", ""},
		{"OPTIONS /dev/token", "", ""},
		{"POST /dev/device_authorization", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.target, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.target, " ")
			header := p.in(t).do(method, p.url+path, nil).header
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Access-Control-Allow-Origin": tt.anyOrigin, "Access-Control-Allow-Headers": tt.anyOrigin, "Content-Security-Policy": tt.policy,
			} {
				if got := header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestPagesOfApps has pages ask for what tells of personas: those of the apps
// under development may read it, others may not.
func TestPagesOfApps(t *testing.T) {
	p := serve(t, realms())
	for origin, mayRead := range map[string]bool{
		"http://localhost:5173":           true,
		"https://localhost":               true,
		"http://127.0.0.1:3000":           true,
		"http://[::1]:3000":               true,
		"https://app.example.com":         true, // listed
		"capacitor://localhost":           true, // listed
		"ionic://localhost":               false,
		"https://app.example.com:8443":    false,
		"http://app.example.com":          false,
		"https://evil.example":            false,
		"http://localhost.evil.example":   false,
		"http://127.0.0.1.evil.example":   false,
		"http://localhost@evil.example":   false,
		"https://evil.example#@localhost": false,
		"null":                            false,
		"":                                false,
	} {
		for _, target := range []string{
			"GET /dev/id_token?persona=agent", "GET /dev/id_token", "OPTIONS /dev/token", "POST /dev/token", "POST /dev/device_authorization",
		} {
			method, path, _ := strings.Cut(target, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, p.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			resp, err := p.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			wantOrigin, wantHeaders := "", ""
			if mayRead {
				wantOrigin, wantHeaders = origin, "*"
			}
			if h := resp.Header; h.Get("Access-Control-Allow-Origin") != wantOrigin || h.Get("Access-Control-Allow-Headers") != wantHeaders || h.Get("Vary") != "Origin" {
				t.Errorf("%s of a page of %q: allowed %q, headers %q, vary %q", target, origin, h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Headers"), h.Get("Vary"))
			}
		}
	}
}

func TestIndex(t *testing.T) {
	p := serve(t, realms())
	a := p.get(p.url + "/")
	if a.status != 200 {
		t.Fatalf("status = %d", a.status)
	}
	for _, want := range []string{p.url + "/dev", p.url + "/second", "web, phone", "agent-7", "answers calls"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s is not on the page", want)
		}
	}
	links := regexp.MustCompile(`href="([^"]+id_token[^"]+)"`).FindAllStringSubmatch(a.body, -1)
	if len(links) != 4 {
		t.Fatalf("%d links to ID tokens, want one for each persona, 4", len(links))
	}
	for _, link := range links {
		if got := p.get(html.UnescapeString(link[1])); got.status != 200 || strings.Count(got.body, ".") != 2 {
			t.Errorf("%s leads to %d %s", link[1], got.status, got.body)
		}
	}
}

func TestPagesEscapeWhatStrangersWrite(t *testing.T) {
	const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`
	p := serve(t, []devidp.Realm{{Name: "dev", Audiences: []string{"web", evil}, Personas: []devidp.Persona{
		{Name: evil, Description: evil, Claims: map[string]any{"sub": evil, evil: []any{evil}}},
	}}})
	authorize := p.url + "/dev/authorize?response_type=code&code_challenge_method=S256&code_challenge=" + strings.Repeat("x", 43) +
		"&redirect_uri=http://localhost/&state=" + url.QueryEscape(evil)
	codeOf := func() string { return p.startDevice(evil).UserCode }
	pages := map[string]answer{
		"index":             p.get(p.url + "/"),
		"personas":          p.get(authorize + "&client_id=" + url.QueryEscape(evil)),
		"no persona":        p.post(authorize+"&client_id=web", url.Values{"persona": {"x"}}),
		"bad claims":        p.post(authorize+"&client_id=web", url.Values{"claims": {evil}}),
		"no client":         p.get(authorize + "&client_id=" + url.QueryEscape(evil+"2")),
		"bad redirect":      p.get(authorize + "&client_id=web&redirect_uri=" + url.QueryEscape(evil)),
		"device's code":     p.get(p.url + "/dev/device?user_code=" + url.QueryEscape(evil)),
		"device's personas": p.get(p.url + "/dev/device?user_code=" + codeOf()),
		"device's claims":   p.post(p.url+"/dev/device?user_code="+codeOf(), url.Values{"claims": {evil}}),
		"no realm":          p.get(p.url + "/" + url.PathEscape(evil) + "/authorize"),
	}
	for name, a := range pages {
		t.Run(name, func(t *testing.T) {
			if got := a.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
				t.Fatalf("Content-Type = %s", got)
			}
			for _, part := range []string{"<script", "<img", `"'>`} {
				if strings.Contains(a.body, part) {
					t.Errorf("%s stands in the page as it is:\n%s", part, a.body)
				}
			}
		})
	}
	// What is escaped on the page is whole when it comes back.
	personas := pages["personas"]
	back := p.post(p.action(personas.body, p.url+"/dev/authorize"), url.Values{"persona": {evil}}).location.Query()
	if back.Get("state") != evil {
		t.Errorf("state = %q, want %q", back.Get("state"), evil)
	}
}

// FuzzFreeClaims holds that no claims, whatever they are, say what only the
// provider may, and that all that are taken can be signed.
func FuzzFreeClaims(f *testing.F) {
	provider, err := devidp.New("http://localhost", devidp.Options{Now: (&clock{now: start, step: 10 * time.Second}).Now, Realms: realms()})
	if err != nil {
		f.Fatal(err)
	}
	handler := provider.Handler()
	for _, seed := range []string{
		`{"sub":"a"}`, `{"sub":"a","iss":"x","aud":[],"exp":1e9,"nbf":9e9}`, `{"sub":"a","ISS":"x"}`, `{"sub":""}`, `null`, `[]`, `{"sub":"a"} {}`,
		`{"sub":"a","n":12345678901234567890}`, "{\"sub\":\"\xff\"}", `{"sub":"\ud800"}`, `{"sub":"a","x":1e99999}`,
	} {
		f.Add(seed)
	}
	send := func(target string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	challenge := oauth2.S256ChallengeFromVerifier(verifier)
	f.Fuzz(func(t *testing.T, text string) {
		query := url.Values{"client_id": {"web"}, "response_type": {"code"}, "redirect_uri": {"http://localhost/"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
		w := send("/dev/authorize?"+query.Encode(), url.Values{"claims": {text}})
		if w.Code == http.StatusBadRequest {
			return
		}
		location, err := url.Parse(w.Header().Get("Location"))
		if err != nil || location.Query().Get("code") == "" {
			t.Fatalf("answer = %d to %q", w.Code, w.Header().Get("Location"))
		}
		w = send("/dev/token", url.Values{"grant_type": {"authorization_code"}, "code": location.Query()["code"], "client_id": {"web"}, "redirect_uri": {"http://localhost/"}, "code_verifier": {verifier}})
		var tokens struct {
			IDToken string `json:"id_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &tokens); err != nil || w.Code != http.StatusOK {
			t.Fatalf("claims that were taken are not signed: %d %s", w.Code, w.Body)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.IDToken, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			return // a number that Go holds in no float64 is still JSON
		}
		if claims["iss"] != "http://localhost/dev" || claims["aud"] != "web" || claims["azp"] != "web" || claims["nbf"] != nil ||
			claims["exp"].(float64) != claims["iat"].(float64)+3600 || claims["sub"] == "" {
			t.Errorf("claims = %s", payload)
		}
	})
}

func BenchmarkIDToken(b *testing.B) {
	provider, err := devidp.New("http://localhost", devidp.Options{Realms: realms()})
	if err != nil {
		b.Fatal(err)
	}
	handler := provider.Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://localhost/dev/id_token?persona=agent", nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
