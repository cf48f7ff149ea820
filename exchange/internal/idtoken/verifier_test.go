package idtoken_test

import (
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/idtoken"
)

var now = time.Unix(1_780_000_000, 0)

type m = map[string]any

// A world is a verifier with one issuer.
type world struct {
	idp      *exchangetest.IdP
	key      *exchangetest.Key
	verifier *idtoken.Verifier
	log      exchangetest.Log
}

// newWorld returns a verifier for an issuer with this algorithm.
func newWorld(t testing.TB, algorithm string) *world {
	t.Helper()
	w := &world{key: exchangetest.NewKey(t, algorithm, "k1")}
	w.idp = exchangetest.NewIdP(t, w.key)
	w.verifier = newVerifier(t, issuersOf(`
  - name: idp
    issuer: %s
    algorithms: [%s]
    audiences: [app]
    identity: "idp_${escape(claims.sub)}"`, w.idp.URL, algorithm), idtoken.Options{}, &w.log)
	return w
}

// issuersOf returns a configuration with these issuers.
func issuersOf(format string, args ...any) string {
	return `
version: 1
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: AsecretThatIsNoAuthTokenAtAll123
issuers:` + fmt.Sprintf(format, args...) + `
rules:
  - {name: all, issuer: any, when: "true", grants: {video: {room: a}}}
`
}

// newVerifier starts a verifier and waits until it has all keys.
func newVerifier(t testing.TB, text string, o idtoken.Options, log io.Writer) *idtoken.Verifier {
	t.Helper()
	v := startVerifier(t, text, o, log)
	awaitKeys(t, v)
	return v
}

func startVerifier(t testing.TB, text string, o idtoken.Options, log io.Writer) *idtoken.Verifier {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Now = func() time.Time { return now }
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	v, err := idtoken.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	v.Start(ctx)
	return v
}

func awaitKeys(t testing.TB, v *idtoken.Verifier) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		ready := true
		for _, s := range v.Keys() {
			ready = ready && s.Ready
		}
		if ready {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no keys: %+v", v.Keys())
		}
	}
}

// claims returns those of a good token, changed.
func (w *world) claims(changes m) m {
	c := m{"iss": w.idp.URL, "sub": "u1", "aud": "app", "iat": now.Unix() - 60, "exp": now.Unix() + 3600}
	maps.Copy(c, changes)
	return c
}

func (w *world) verify(raw string) string {
	token, err := w.verifier.Verify(context.Background(), raw)
	if err != nil {
		return string(rules.ReasonOf(err))
	}
	return "accepted as " + token.Issuer() + " client " + token.Client()
}

const accepted = "accepted as idp client app"

// TestCatalogue holds every token of the catalogue against the verifier alone.
func TestCatalogue(t *testing.T) {
	c := exchangetest.NewCatalogue(t, now)
	var log exchangetest.Log
	v := newVerifier(t, c.Config, idtoken.Options{}, &log)
	for _, a := range c.Attacks {
		t.Run(a.Row+" "+a.Name, func(t *testing.T) {
			token, err := v.Verify(context.Background(), a.Token)
			if got := rules.ReasonOf(err); got != a.Reason {
				t.Fatalf("got %q, want %q: %v", got, a.Reason, err)
			}
			if err == nil {
				if token.Issuer() != a.Provider.Name {
					t.Errorf("taken as a token of %s, want %s", token.Issuer(), a.Provider.Name)
				}
				return
			}
			var rejection *idtoken.Rejection
			if !errors.As(err, &rejection) || rejection.Issuer != "" && rejection.Issuer != a.Provider.Name {
				t.Errorf("rejected as %#v", err)
			}
			text := err.Error() + log.String()
			for i := 0; i+20 <= len(text); i++ {
				if strings.Contains(a.Token, text[i:i+20]) {
					t.Fatalf("a piece of the token is told: %s", text)
				}
			}
		})
	}
}

// TestEveryBitCounts changes each bit of a good token. None can be changed
// without notice, those that a lax decoder does not look at included.
func TestEveryBitCounts(t *testing.T) {
	for _, alg := range exchangetest.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, alg)
			good := w.key.Token(w.claims(nil))
			if got := w.verify(good); got != accepted {
				t.Fatal(got)
			}
			step := 1
			if alg == "ES384" || alg == "ES512" {
				step = 9 // their signatures take ten times as long to check
			}
			changed := []byte(good)
			for i := 0; i < len(changed); i += step {
				for bit := range 8 {
					changed[i] ^= 1 << bit
					if got := w.verify(string(changed)); strings.HasPrefix(got, "accepted") {
						t.Errorf("bit %d of byte %d changed: %s", bit, i, got)
					}
					changed[i] ^= 1 << bit
				}
			}
		})
	}
}

// TestReplayKey has one token in every form that some reader takes for the
// same: a form is refused, or has the same replay key.
func TestReplayKey(t *testing.T) {
	w := newWorld(t, "ES256")
	key := func(raw string) [sha256.Size]byte {
		t.Helper()
		token, err := w.verifier.Verify(context.Background(), raw)
		if err != nil {
			t.Fatal(err)
		}
		return token.ReplayKey()
	}
	good := w.key.Token(w.claims(nil))
	parts := strings.Split(good, ".")
	want := key(good)

	again := w.key.SignEncoded(parts[0] + "." + parts[1]) // ECDSA signs differently each time
	if again == good || key(again) != want {
		t.Error("a second signature makes another token of it")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin := parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(signature)
	if twin == good || key(twin) != want {
		t.Error("the twin of a signature makes another token of it")
	}
	for _, other := range []string{
		good + "=", good + "==", " " + good, good + "\n", parts[0] + "\n." + parts[1] + "." + parts[2],
		strings.Map(standardAlphabet, good), good + ".", "." + good,
		`{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
	} {
		if other == good {
			continue // it has neither - nor _
		}
		if got := w.verify(other); got != "malformed_token" {
			t.Errorf("%q: %s", other, got)
		}
	}

	if key(w.key.Token(w.claims(m{"jti": "2"}))) == want {
		t.Error("two tokens have one replay key")
	}
	for name, claims := range map[string]m{"nobody": {"sub": "nobody"}, "earlier": {"iat": now.Unix() - 61}} {
		if key(w.key.Token(w.claims(claims))) == want {
			t.Errorf("%s: two tokens have one replay key", name)
		}
	}
}

func standardAlphabet(r rune) rune {
	switch r {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return r
}

// TestJunkCausesFewFetches sends what strangers can make: names of keys that
// nobody has cause two fetches, and forged signatures none.
func TestJunkCausesFewFetches(t *testing.T) {
	w := newWorld(t, "RS256")
	good := strings.Split(w.key.Token(w.claims(nil)), ".")
	for i := range 1000 {
		forged := w.claims(m{"sub": fmt.Sprint("forged", i)})
		if got := w.verify(b64(toJSON(w.key.Header())) + "." + b64(toJSON(forged)) + "." + good[2]); got != "bad_signature" {
			t.Fatal(got)
		}
	}
	if n := w.idp.Fetches(); n != 1 {
		t.Errorf("1000 bad signatures caused %d fetches", n-1)
	}
	for i := range 1000 {
		header := m{"alg": "RS256", "kid": fmt.Sprint("junk", i)}
		if got := w.verify(b64(toJSON(header)) + "." + good[1] + "." + good[2]); got != "bad_signature" {
			t.Fatal(got)
		}
	}
	if n := w.idp.Fetches() - 1; n != 2 {
		t.Errorf("1000 unknown kids caused %d fetches", n)
	}
	// What the claims give away is found out before a key is looked for.
	w = newWorld(t, "RS256")
	for name, claims := range map[string]m{"unknown_issuer": {"iss": "https://nobody.example"}, "wrong_audience": {"aud": "another"}, "token_expired": {"exp": now.Unix() - 3600, "iat": now.Unix() - 7200}} {
		if got := w.verify(w.key.Sign(m{"alg": "RS256", "kid": "junk"}, w.claims(claims))); got != name {
			t.Errorf("got %s, want %s", got, name)
		}
	}
	if n := w.idp.Fetches(); n != 1 {
		t.Errorf("tokens for nobody here caused %d fetches", n-1)
	}
}

// TestOverloaded refuses at once what there is no room for, and goes on when
// there is again.
func TestOverloaded(t *testing.T) {
	const room = 256 // requests that wait for keys
	clock := exchangetest.NewClock(now)
	key := exchangetest.NewKey(t, "RS256", "k1")
	w := &world{idp: exchangetest.NewIdP(t, key), key: key}
	w.verifier = newVerifier(t, issuersOf("\n  - {name: idp, issuer: %q, audiences: [app], identity: \"idp_${escape(claims.sub)}\"}", w.idp.URL), idtoken.Options{After: clock.After}, &w.log)
	good := w.key.Token(w.claims(nil))
	w.idp.Answer(exchangetest.Hang)
	unknown := w.key.Sign(m{"alg": "RS256", "kid": "unknown"}, w.claims(nil))
	ctx, giveUp := context.WithCancel(context.Background())
	results := make(chan rules.Reason)
	for range room + 10 {
		go func() {
			_, err := w.verifier.Verify(ctx, unknown)
			results <- rules.ReasonOf(err)
		}()
	}
	for range 10 {
		if got := <-results; got != rules.Overloaded {
			t.Errorf("got %s, want overloaded", got)
		}
	}
	if got := w.verify(good); got != accepted {
		t.Errorf("a key that is known, meanwhile: %s", got)
	}
	giveUp()
	for range room {
		if got := <-results; got != rules.BadSignature {
			t.Errorf("got %s, want bad_signature", got)
		}
	}
}

// TestDiscovery has the discovery documents of which the keys are not used,
// K10 (OpenID Connect Discovery 1.0 §4.3).
func TestDiscovery(t *testing.T) {
	key := exchangetest.NewKey(t, "RS256", "k1")
	document := func(issuer, uri string) string { return toJSON(m{"issuer": issuer, "jwks_uri": uri}) }
	for _, test := range []struct {
		name     string
		document func(url string) string
		want     string // of the status; "": the keys are used
	}{
		{"as it should be", func(url string) string { return document(url, url+"/keys") }, ""},
		{"of another issuer", func(url string) string { return document("https://another.example", url+"/keys") }, "discovery: the discovery document names another issuer"},
		{"of the issuer with a slash", func(url string) string { return document(url+"/", url+"/keys") }, "discovery: the discovery document names another issuer"},
		{"without an issuer", func(url string) string { return toJSON(m{"jwks_uri": url + "/keys"}) }, "discovery: the discovery document names another issuer"},
		{"without keys", func(url string) string { return toJSON(m{"issuer": url}) }, "discovery: jwks_uri in the discovery document is not an https URL"},
		{"keys over http elsewhere", func(url string) string { return document(url, "http://169.254.169.254/keys") }, "discovery: jwks_uri in the discovery document is not an https URL"},
		{"keys in a file", func(url string) string { return document(url, "file:///etc/passwd") }, "discovery: jwks_uri in the discovery document is not an https URL"},
		{"keys at a relative URL", func(url string) string { return document(url, "/keys") }, "discovery: jwks_uri in the discovery document is not an https URL"},
		{"something behind", func(url string) string { return document(url, url+"/keys") + "x" }, "discovery: the provider's discovery document could not be read"},
		{"cut off", func(url string) string { return strings.TrimSuffix(document(url, url+"/keys"), "}") }, "discovery: the provider's discovery document could not be read"},
		{"a page", func(string) string { return "<!doctype html><title>secret-upstream-text</title>" }, "discovery: the provider's discovery document could not be read"},
		{"empty", func(string) string { return "" }, "discovery: the provider's discovery document could not be read"},
		{"over 256 KiB", func(url string) string { return document(url, url+"/keys") + strings.Repeat(" ", 256<<10) }, "discovery: the provider's discovery document could not be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var server *httptest.Server
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/.well-known/openid-configuration":
					w.Header().Set("Content-Type", "application/json")
					io.WriteString(w, test.document(server.URL))
				case "/keys":
					io.WriteString(w, toJSON(m{"keys": []any{key.JWK()}}))
				}
			}))
			defer server.Close()
			clock := exchangetest.NewClock(now)
			var log exchangetest.Log
			v := startVerifier(t, issuersOf("\n  - {name: idp, issuer: %q, audiences: [app], identity: \"idp_${escape(claims.sub)}\"}", server.URL), idtoken.Options{After: clock.After}, &log)
			clock.AwaitTimer(t)
			if got := v.Keys()[0]; got.Error != test.want || got.Ready != (test.want == "") {
				t.Errorf("got %+v, want %q", got, test.want)
			}
			if strings.Contains(log.String(), "secret-upstream-text") {
				t.Errorf("what the provider wrote is logged: %s", &log)
			}
		})
	}
}

// TestDiscoveryOverTLS does not let an issuer with https have its keys without,
// on loopback neither.
func TestDiscoveryOverTLS(t *testing.T) {
	plain := exchangetest.NewIdP(t, exchangetest.NewKey(t, "RS256", "k1"))
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, toJSON(m{"issuer": server.URL, "jwks_uri": plain.URL + "/jwks"}))
	}))
	defer server.Close()
	clock := exchangetest.NewClock(now)
	var log exchangetest.Log
	v := startVerifier(t, issuersOf("\n  - {name: idp, issuer: %q, audiences: [app], identity: \"idp_${escape(claims.sub)}\"}", server.URL),
		idtoken.Options{After: clock.After, Transport: server.Client().Transport}, &log)
	clock.AwaitTimer(t)
	if got, want := v.Keys()[0].Error, "discovery: jwks_uri in the discovery document is not an https URL"; got != want || plain.Fetches() != 0 {
		t.Errorf("got %q and %d fetches, want %q", got, plain.Fetches(), want)
	}
}

// TestNestedHeader reads a token whose header is nested so deeply that go-jose
// before 4.1.5 exhausted the stack with it, which ends a process. It runs in
// one of its own, which must live and not take memory for it.
func TestNestedHeader(t *testing.T) {
	const child = "TWILIO_STS_TEST_NESTED_HEADER"
	if os.Getenv(child) == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^TestNestedHeader$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestNestedHeader") {
			t.Errorf("%v: %s", err, out[:min(len(out), 2000)])
		}
		return
	}
	w := newWorld(t, "RS256")
	nested := b64(`{"alg":"RS256","x":`+strings.Repeat("[", 5_000_000)+strings.Repeat("]", 5_000_000)+"}") + "." + b64(toJSON(w.claims(nil))) + ".AAAA"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got := w.verify(nested); got != "malformed_token" {
		t.Error(got)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes for a token of %d", took, len(nested))
	}
	// The library has to live too, should a token ever reach it unchecked.
	plain := oidc.NewVerifier(w.idp.URL, oidc.NewRemoteKeySet(context.Background(), w.idp.URL+"/jwks"), &oidc.Config{ClientID: "app"})
	if _, err := plain.Verify(context.Background(), nested); err == nil {
		t.Error("go-oidc takes it")
	}
}

// TestJOSEVersion keeps go-jose above 4.1.4, which crashes on a deeply nested
// header before any signature is checked.
func TestJOSEVersion(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}", "github.com/go-jose/go-jose/v4").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(string(out), "v%d.%d.%d", &major, &minor, &patch); err != nil || major != 4 || minor < 1 || minor == 1 && patch < 8 {
		t.Errorf("go-jose is %s, want v4.1.8 or later", out)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
