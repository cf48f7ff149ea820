package exchange_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// siteConfig has every part that a request can meet. Its keys come from a
// file, so that no test here waits for a provider.
const siteConfig = `
version: 1
server:
  public_url: https://token.example.com
  allowed_origins: [https://app.example.com, https://partner.example.com, capacitor://localhost]
  trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: AsecretThatIsNoAuthTokenAtAll123
  - name: dublin
    account_sid: ACfedcba9876543210fedcba9876543210
    api_key_sid: SKfedcba9876543210fedcba9876543210
    api_key_secret: AnotherSecretThatIsNoAuthToken45
    region: ie1
issuers:
  - name: idp
    issuer: https://idp.example.com
    audiences: [app, ios]
    allowed_azp: [app, ios, android]
    algorithms: [ES256]
    max_token_age: 12h
    jwks_file: keys.json
    claims: {groups: list(string), level: int}
    require: ["!('guest' in claims.?groups.orValue([]))"]
    identity: "idp__${escape(claims.sub)}"
  - name: partner
    issuer: https://partner.example.com/
    audiences: [app]
    algorithms: [ES256]
    jwks_file: keys.json
    claims: {groups: list(string), level: int}
    allowed_origins: [https://partner.example.com]
    identity: "partner__${escape(claims.sub)}"
parameters:
  room: {pattern: "[a-z0-9-]{1,64}"}
  platform: {enum: [ios, android, web], default: web}
limits: {per_ip: off, per_subject: off, failures_per_ip: off}
audit: {key: ThirtyTwoBytesThatHashSubjects00}
rules:
  - name: suspended
    when: "'suspended' in claims.?groups.orValue([])"
    deny: account suspended
  - name: watched
    when: "'watched' in claims.?groups.orValue([]) && claims.level > 5"
    deny: watched
  - name: support
    when: "'support' in claims.?groups.orValue([])"
    ttl: 4h
    grants:
      video: {room: "support-${request.room}"}
  - name: agents
    when: "'agents' in claims.?groups.orValue([])"
    account: dublin
    grants:
      voice: {incoming_allow: true}
  - name: everyone
    when: "!('nobody' in claims.?groups.orValue([]))"
    grants:
      chat: {service_sid: IS0123456789abcdef0123456789abcdef}
      sync: {service_sid: default}
`

// The secrets of siteConfig.
const (
	mainSecret   = "AsecretThatIsNoAuthTokenAtAll123"
	dublinSecret = "AnotherSecretThatIsNoAuthToken45"
	auditKey     = "ThirtyTwoBytesThatHashSubjects00"
)

var siteTime = time.Unix(1_780_000_000, 0) // 2026-05-28T20:26:40Z

// traceparent is sent with every request of a site, so that answers are whole
// texts.
const (
	siteTraceID = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + siteTraceID + "-b7ad6b7169203331-01"
)

// A site is a service under siteConfig or a variant of it, on loopback.
type site struct {
	*exchange.Service
	url    string
	key    *exchangetest.Key
	clock  *exchangetest.Clock
	hash   string // of the configuration
	events exchangetest.Log
	audit  exchangetest.Log
}

// zeros is a source of randomness that has none: every token has the same id.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

const zerosID = "00000000000000000000000000000000"

// newSite starts a site. change, which may be nil, changes the options.
func newSite(t testing.TB, configuration string, change func(*exchange.Options)) *site {
	t.Helper()
	s := prepareSite(t, configuration, change)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// prepareSite returns a site that does not serve yet.
func prepareSite(t testing.TB, configuration string, change func(*exchange.Options)) *site {
	t.Helper()
	_, algorithm, _ := strings.Cut(configuration, "algorithms: [")
	algorithm, _, _ = strings.Cut(algorithm, "]")
	s := &site{key: exchangetest.NewKey(t, algorithm, "k1"), clock: exchangetest.NewClock(siteTime)}
	cfg, err := config.Parse("config.yaml", []byte(configuration), config.Options{ReadFile: func(path string) ([]byte, error) {
		if path == "keys.json" {
			return json.Marshal(m{"keys": []any{s.key.JWK()}})
		}
		return os.ReadFile(path)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.hash = cfg.Hash
	o := exchange.Options{
		Now:   s.clock.Now,
		Log:   slog.New(slog.NewJSONHandler(&s.events, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime})),
		Audit: &s.audit,
		Rand:  zeros{},
	}
	if change != nil {
		change(&o)
	}
	if s.Service, err = exchange.New(cfg, o); err != nil {
		t.Fatal(err)
	}
	return s
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && groups == nil {
		return slog.Attr{}
	}
	return a
}

type m = map[string]any

// claims returns those of a good token, changed; nil takes one away.
func claims(changes m) m {
	c := m{"iss": "https://idp.example.com", "sub": "auth0|1", "aud": "app", "iat": siteTime.Unix() - 60, "exp": siteTime.Unix() + 3600}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs the claims of a good token, changed.
func (s *site) token(changes m) string { return s.key.Token(claims(changes)) }

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// form is the body of an RFC 8693 request, with more parameters as name, value.
func form(token string, more ...string) string {
	v := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {token},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}
	for i := 0; i < len(more); i += 2 {
		v.Add(more[i], more[i+1])
	}
	return v.Encode()
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// headers returns a header of names and values.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// send sends a request with siteTraceID and returns the answer as text: status,
// headers in order but those that HTTP itself sets, an empty line, the body.
func (s *site) send(t testing.TB, method, path string, h http.Header, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Traceparent": {traceparent}}
	maps.Copy(r.Header, h)
	return answerText(t, http.DefaultClient, r)
}

func answerText(t testing.TB, client *http.Client, r *http.Request) string {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := responseText(t, resp)
	return text
}

// responseText returns an answer as text, and the access token, for which
// the text has an ellipsis.
func responseText(t testing.TB, resp *http.Response) (text, accessToken string) {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		if name != "Date" && name != "Content-Length" && name != "Connection" {
			for _, value := range resp.Header[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			}
		}
	}
	fmt.Fprintf(&b, "\n%s", body)
	const member = `{"access_token":"`
	if before, after, ok := strings.Cut(b.String(), member); ok {
		accessToken, after, _ = strings.Cut(after, `"`)
		return before + member + `…"` + after, accessToken
	}
	return b.String(), ""
}

// post posts a form to /token.
func (s *site) post(t testing.TB, body string) string {
	t.Helper()
	return s.send(t, "POST", "/token", headers("Content-Type", formType), body)
}

// answerWith is the text of an answer under /token to a program that is no browser.
func answerWith(status int, body string) string {
	return fmt.Sprintf("%d\nCache-Control: no-store\nContent-Type: application/json\nPragma: no-cache\nVary: Origin\nX-Content-Type-Options: nosniff\n\n%s\n", status, body)
}

// refusalWith is the text of such an answer with an error.
func refusalWith(status int, code, description, reason, action string) string {
	return answerWith(status, fmt.Sprintf(`{"error":%q,"error_description":%q,"reason":%q,"action":%q,"trace_id":%q}`, code, description, reason, action, siteTraceID))
}

// malformed is the text of the answer to a request that is itself at fault.
func malformed(status int, description string) string {
	return refusalWith(status, "invalid_request", description, "malformed_request", "fix_request")
}

// granted is the text of an answer with a token.
func granted(tokenType string, expiresIn, refreshIn int, scope, identity, grants, region string) string {
	issued := "urn:ietf:params:oauth:token-type:access_token"
	if tokenType == "N_A" {
		issued = "urn:ietf:params:oauth:token-type:jwt"
	}
	return answerWith(200, fmt.Sprintf(`{"access_token":"…","issued_token_type":%q,"token_type":%q,"expires_in":%d,"refresh_in":%d,"scope":%q,"identity":%q,"grants":%s,"region":%q}`,
		issued, tokenType, expiresIn, refreshIn, scope, identity, grants, region))
}

const (
	chatGrant = `"chat":{"service_sid":"IS0123456789abcdef0123456789abcdef"}`
	syncGrant = `"data_sync":{"service_sid":"default"}`
)

// usualAnswer is the answer to the person of claims(nil).
var usualAnswer = granted("Bearer", 3600, 3240, "chat sync", "idp__auth0_7C1", "{"+chatGrant+","+syncGrant+"}", "us1")

// exchange returns the access token that a form gets, and the rest of the
// answer.
func (s *site) exchange(t testing.TB, body string) (token, rest string) {
	t.Helper()
	resp, err := http.Post(s.url+"/token", formType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	rest, token = responseText(t, resp)
	return token, rest
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, nil)
	token, rest := s.exchange(t, form(s.token(nil)))
	if diff := cmp.Diff(usualAnswer, rest); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got, want := openTwilio(t, token, mainSecret), fmt.Sprintf(`{"alg":"HS256","cty":"twilio-fpa;v=1","typ":"JWT"}
{"exp":1780003600,"grants":{%s,%s,"identity":"idp__auth0_7C1"},"iat":1780000000,"iss":"SK0123456789abcdef0123456789abcdef","jti":"SK0123456789abcdef0123456789abcdef-%s","sub":"AC0123456789abcdef0123456789abcdef"}`,
		chatGrant, syncGrant, zerosID); got != want {
		t.Errorf("access token\n got %s\nwant %s", got, want)
	}
}

// TestZeroOptions has a service need nothing but its configuration: the time is
// now, and every token has an id of its own.
func TestZeroOptions(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig, func(o *exchange.Options) { *o = exchange.Options{} })
	now := time.Now().Unix()
	body := form(s.token(m{"iat": now, "exp": now + 60}))
	first, rest := s.exchange(t, body)
	if diff := cmp.Diff(usualAnswer, rest); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if second, _ := s.exchange(t, body); second == first {
		t.Error("two tokens are the same")
	}
	if payload := openTwilio(t, first, mainSecret); strings.Contains(payload, zerosID) {
		t.Errorf("the id is not random: %s", payload)
	}
}

func TestAccessTokenOfAnotherRegion(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(siteConfig, "!('nobody' in", "!('agents' in", 1), nil)
	token, rest := s.exchange(t, form(s.token(m{"sub": "a1", "groups": []string{"agents"}})))
	want := granted("Bearer", 3600, 3240, "voice", "idp__a1", `{"voice":{"incoming":{"allow":true}}}`, "ie1")
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got, want := openTwilio(t, token, dublinSecret), `{"alg":"HS256","cty":"twilio-fpa;v=1","twr":"ie1","typ":"JWT"}
{"exp":1780003600,"grants":{"identity":"idp__a1","voice":{"incoming":{"allow":true}}},"iat":1780000000,"iss":"SKfedcba9876543210fedcba9876543210","jti":"SKfedcba9876543210fedcba9876543210-`+zerosID+`","sub":"ACfedcba9876543210fedcba9876543210"}`; got != want {
		t.Errorf("access token\n got %s\nwant %s", got, want)
	}
}

// openTwilio checks a Twilio token's signature and returns its header and
// payload, by the standard library alone.
func openTwilio(t testing.TB, token, secret string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, parts[0]+"."+parts[1])
	if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != parts[2] {
		t.Fatal("the signature is not the account's")
	}
	var text [2]string
	for i := range text {
		decoded, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(decoded)
	}
	return text[0] + "\n" + text[1]
}
