package exchange_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const adminToken = "OperatorsToken-0123456789"

// The answers of the access rule.
var (
	noDecisions = forAdmin(answerWith(200, `{"decisions":[]}`))
	notKept     = forAdmin(malformed(404, "no decision is kept under this trace id"))
	notDirect   = forAdmin(malformed(403, "without server.admin_token this answers only direct requests from its own machine, by address or as localhost"))
)

// unauthorized is the answer to who sends no token, or with challenge another.
func unauthorized(challenge string) string {
	text := malformed(401, "this needs Authorization: Bearer and the token of server.admin_token")
	return strings.Replace(text, "Vary: Origin\n", "Www-Authenticate: Bearer"+challenge+"\n", 1)
}

func TestOperatorsOnly(t *testing.T) {
	t.Parallel()
	open := newSite(t, siteConfig, nil).newAdmin(t)
	closed := newSite(t, strings.Replace(siteConfig, "server:\n", "server:\n  admin_token: "+adminToken+"\n", 1), nil).newAdmin(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(open.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(token string) http.Header { return headers("Authorization", "Bearer "+token) }
	noToken, wrongToken := unauthorized(""), unauthorized(` error="invalid_token"`)
	for _, test := range []struct {
		name   string
		site   *site
		host   string // "" for the address
		header http.Header
		want   string
	}{
		{"direct", open, "", nil, noDecisions},
		{"another loopback address", open, "127.1.2.3:" + port, nil, noDecisions},
		{"IPv6", open, "[::1]:" + port, nil, noDecisions},
		{"IPv6 without a port", open, "[::1]", nil, noDecisions},
		{"an address elsewhere", open, "192.0.2.1", nil, noDecisions}, // a forwarded port; no page can have it
		{"localhost", open, "localhost:" + port, nil, noDecisions},
		{"localhost without a port", open, "localhost", nil, noDecisions},
		{"localhost in capitals", open, "LOCALHOST", nil, noDecisions},
		{"a token that nobody asks for", open, "", bearer("x"), noDecisions},

		{"a page that was pointed here", open, "evil.example", nil, notDirect},
		{"with a port", open, "evil.example:" + port, nil, notDirect},
		{"a name like localhost", open, "localhost.evil.example", nil, notDirect},
		{"a name under localhost", open, "evil.localhost", nil, notDirect},
		{"a name like an address", open, "127.0.0.1.evil.example:" + port, nil, notDirect},
		{"a name that is a number", open, "2130706433", nil, notDirect},
		{"a short address", open, "127.1", nil, notDirect},
		{"a bracket too many", open, "[evil.example]", nil, notDirect},

		{"a proxy: X-Forwarded-For", open, "", headers("X-Forwarded-For", "127.0.0.1"), notDirect},
		{"a proxy: X-Forwarded-For, empty", open, "", headers("X-Forwarded-For", ""), notDirect},
		{"a proxy: X-Forwarded-Host", open, "", headers("X-Forwarded-Host", "localhost"), notDirect},
		{"a proxy: X-Forwarded-Proto", open, "", headers("X-Forwarded-Proto", "https"), notDirect},
		{"a proxy: Forwarded", open, "", headers("Forwarded", "for=127.0.0.1"), notDirect},
		{"a proxy: Via", open, "", headers("Via", "1.1 proxy"), notDirect},

		{"a proxy: X-Real-IP", open, "", headers("X-Real-IP", "127.0.0.1"), notDirect},
		{"a proxy: CF-Connecting-IP", open, "", headers("CF-Connecting-IP", "127.0.0.1"), notDirect},
		{"a proxy: True-Client-IP", open, "", headers("True-Client-IP", "127.0.0.1"), notDirect},
		{"a page elsewhere: Origin", open, "", headers("Origin", "https://evil.example"), notDirect},
		{"a sandboxed page: Origin", open, "", headers("Origin", "null"), notDirect},
		{"a page elsewhere: cross-site", open, "", headers("Sec-Fetch-Site", "cross-site"), notDirect},
		{"a page on another port: same-site", open, "", headers("Sec-Fetch-Site", "same-site"), notDirect},
		{"two sites", open, "", headers("Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"), notDirect},
		{"its own page", open, "", headers("Sec-Fetch-Site", "same-origin"), noDecisions},
		{"a browser's address bar", open, "", headers("Sec-Fetch-Site", "none"), noDecisions},

		{"the token", closed, "", bearer(adminToken), noDecisions},
		{"the token, scheme in lower case", closed, "", headers("Authorization", "bearer "+adminToken), noDecisions},
		{"the token, from afar", closed, "sts.example.com", headers("Authorization", "Bearer "+adminToken, "X-Forwarded-For", "192.0.2.1", "Via", "1.1 proxy"), noDecisions},
		{"no token", closed, "", nil, noToken},
		{"an empty token", closed, "", headers("Authorization", "Bearer "), noToken},
		{"an empty header", closed, "", headers("Authorization", ""), noToken},
		{"another scheme", closed, "", headers("Authorization", "Basic "+adminToken), noToken},
		{"the token alone", closed, "", headers("Authorization", adminToken), noToken},
		{"two", closed, "", headers("Authorization", "Bearer "+adminToken, "Authorization", "Bearer "+adminToken), noToken},
		{"another token", closed, "", bearer("x"), wrongToken},
		{"its beginning", closed, "", bearer(adminToken[:len(adminToken)-1]), wrongToken},
		{"more than it", closed, "", bearer(adminToken + "x"), wrongToken},
		{"another case", closed, "", bearer(strings.ToLower(adminToken)), wrongToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := func(path string) *http.Request {
				r, err := http.NewRequestWithContext(t.Context(), "GET", test.site.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host, r.Header = test.host, headers("Traceparent", traceparent)
				for name, values := range test.header {
					r.Header[name] = values
				}
				return r
			}
			if diff := cmp.Diff(test.want, answerText(t, http.DefaultClient, request("/decisions"))); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			want := test.want
			if want == noDecisions {
				want = notKept
			}
			if diff := cmp.Diff(want, answerText(t, http.DefaultClient, request("/decisions/"+siteTraceID))); diff != "" {
				t.Errorf("one (-want +got):\n%s", diff)
			}
			// Probes ask without a token, and from elsewhere.
			if got := answerText(t, http.DefaultClient, request("/healthz")); !strings.HasPrefix(got, "200\n") {
				t.Errorf("health: %s", got)
			}
		})
	}

	t.Run("token in the URL", func(t *testing.T) {
		t.Parallel()
		if diff := cmp.Diff(noToken, closed.send(t, "GET", "/decisions?access_token="+adminToken, nil, "")); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
	t.Run("public listener", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, siteConfig, nil)
		if diff := cmp.Diff(malformed(404, "not found"), s.send(t, "GET", "/decisions", nil, "")); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
}

// TestOperatorsFrom has requests from each kind of address, as far as this
// machine has them.
func TestOperatorsFrom(t *testing.T) {
	t.Parallel()
	handler := newSite(t, siteConfig, nil).AdminHandler()
	tests := map[string]string{"127.0.0.1": noDecisions, "::1": noDecisions}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			tests[ip.IP.String()] = notDirect
		}
	}
	for ip, want := range tests {
		t.Run(ip, func(t *testing.T) {
			t.Parallel()
			l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(ip, "0"))
			if err != nil {
				t.Skipf("this machine does not listen there: %v", err)
			}
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
			server.Start()
			t.Cleanup(server.Close)
			s := &site{url: server.URL}
			if diff := cmp.Diff(want, s.send(t, "GET", "/decisions", nil, "")); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}
