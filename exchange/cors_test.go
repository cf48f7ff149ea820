package exchange_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	appOrigin     = "https://app.example.com"
	partnerOrigin = "https://partner.example.com"
)

// forOrigin is an answer's text as a page of an allowed origin gets it.
func forOrigin(origin, text string) string {
	status, rest, _ := strings.Cut(text, "\n")
	return status + "\nAccess-Control-Allow-Origin: " + origin + "\nAccess-Control-Expose-Headers: Retry-After\n" + rest
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	anyOrigin := newSite(t, strings.Replace(siteConfig,
		"allowed_origins: [https://app.example.com, https://partner.example.com, capacitor://localhost]",
		`insecure_any_origin: true
  allowed_origins: ["*"]`, 1), nil)
	noOrigin := newSite(t, strings.NewReplacer(
		"  allowed_origins: [https://app.example.com, https://partner.example.com, capacitor://localhost]\n", "",
		"    allowed_origins: [https://partner.example.com]\n", "").Replace(siteConfig), nil)

	partnerToken := m{"iss": "https://partner.example.com/", "sub": "p1"}
	partnerAnswer := granted("Bearer", 3600, 3240, "chat sync", "partner__p1", "{"+chatGrant+","+syncGrant+"}", "us1")
	notAllowed := refusalWith(403, "invalid_request", "this origin is not allowed", "origin_not_allowed", "fix_request")
	for _, test := range []struct {
		name    string
		site    *site
		origins []string
		claims  m
		want    string
	}{
		{"none", s, nil, nil, usualAnswer},
		{"listed", s, []string{appOrigin}, nil, forOrigin(appOrigin, usualAnswer)},
		{"listed, of an app", s, []string{"capacitor://localhost"}, nil, forOrigin("capacitor://localhost", usualAnswer)},
		{"listed, and the token refused", s, []string{appOrigin}, m{"groups": []string{"suspended"}},
			forOrigin(appOrigin, refusalWith(400, "invalid_request", "access is denied", "denied", "forbidden"))},
		{"not listed", s, []string{"https://evil.example.com"}, nil, notAllowed},
		{"another scheme", s, []string{"http://app.example.com"}, nil, notAllowed},
		{"another port", s, []string{"https://app.example.com:8443"}, nil, notAllowed},
		{"a subdomain", s, []string{"https://x.app.example.com"}, nil, notAllowed},
		{"a longer domain", s, []string{"https://app.example.com.evil.example"}, nil, notAllowed},
		{"in capitals", s, []string{"https://APP.example.com"}, nil, notAllowed},
		{"with a slash", s, []string{"https://app.example.com/"}, nil, notAllowed},
		{"null", s, []string{"null"}, nil, notAllowed},
		{"star", s, []string{"*"}, nil, notAllowed},
		{"two", s, []string{appOrigin, appOrigin}, nil, notAllowed},

		{"issuer that narrows, its origin", s, []string{partnerOrigin}, partnerToken, forOrigin(partnerOrigin, partnerAnswer)},
		{"issuer that narrows, another origin", s, []string{appOrigin}, partnerToken, forOrigin(appOrigin, notAllowed)},
		{"issuer that narrows, no origin", s, nil, partnerToken, partnerAnswer},

		{"any, some", anyOrigin, []string{"https://evil.example.com"}, nil, forOrigin("https://evil.example.com", usualAnswer)},
		{"any, null", anyOrigin, []string{"null"}, nil, notAllowed},
		{"any, two", anyOrigin, []string{appOrigin, appOrigin}, nil, notAllowed},
		{"any, issuer that narrows", anyOrigin, []string{appOrigin}, partnerToken, forOrigin(appOrigin, notAllowed)},
		{"none configured, some", noOrigin, []string{appOrigin}, nil, notAllowed},
		{"none configured, none", noOrigin, nil, nil, usualAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Content-Type": {formType}, "Origin": test.origins}
			if diff := cmp.Diff(test.want, test.site.send(t, "POST", "/token", h, form(test.site.token(test.claims)))); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCORSOnEveryAnswer has answers besides those of POST /token.
func TestCORSOnEveryAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	const usual = "Cache-Control: no-store\nPragma: no-cache\nVary: Origin\nX-Content-Type-Options: nosniff\n\n"
	const allows = "Access-Control-Allow-Headers: Authorization, Content-Type, traceparent, tracestate\nAccess-Control-Allow-Methods: POST\n"
	notAllowed := refusalWith(403, "invalid_request", "this origin is not allowed", "origin_not_allowed", "fix_request")
	for _, test := range []struct {
		name, method, path string
		header             http.Header
		want               string
	}{
		{"preflight", "OPTIONS", "/token",
			headers("Origin", appOrigin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"),
			"204\n" + allows + "Access-Control-Allow-Origin: " + appOrigin + "\nAccess-Control-Expose-Headers: Retry-After\nAccess-Control-Max-Age: 600\n" + usual},
		{"preflight of another origin", "OPTIONS", "/token", headers("Origin", "https://evil.example.com", "Access-Control-Request-Method", "POST"), notAllowed},
		{"preflight of null", "OPTIONS", "/token", headers("Origin", "null", "Access-Control-Request-Method", "POST"), notAllowed},
		{"OPTIONS without an origin", "OPTIONS", "/token", nil, "204\n" + allows + "Access-Control-Max-Age: 600\n" + usual},
		{"method", "GET", "/token", headers("Origin", appOrigin),
			forOrigin(appOrigin, strings.Replace(malformed(405, "the token endpoint takes POST"), "405\n", "405\nAllow: POST, OPTIONS\n", 1))},
		{"media type", "POST", "/token", headers("Origin", appOrigin, "Content-Type", "text/plain"),
			forOrigin(appOrigin, malformed(415, "the body must be application/x-www-form-urlencoded, or with a bearer token application/json, in UTF-8"))},
		{"form", "POST", "/token", headers("Origin", appOrigin, "Content-Type", formType), forOrigin(appOrigin, malformed(400, "grant_type is missing"))},
		{"no such page", "GET", "/", headers("Origin", appOrigin), forOrigin(appOrigin, malformed(404, "not found"))},
		{"health", "GET", "/healthz", headers("Origin", appOrigin), forOrigin(appOrigin, answerWith(200, `{"status":"alive"}`))},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := s.send(t, test.method, test.path, test.header, "")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}
