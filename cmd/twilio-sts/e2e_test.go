package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	randv2 "math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

// e2eWait bounds each step that waits for another process.
const e2eWait = 30 * time.Second

// nodeParts is where the independent parts are.
const nodeParts = "testdata/node"

// The accounts of every configuration here. The secrets are in the
// environment of the service alone.
const (
	mainAccountSID   = "AC11111111111111111111111111111111"
	mainKeySID       = "SK11111111111111111111111111111111"
	mainKeySecret    = "MainKeyOfTheEndToEndTests0000001"
	dublinAccountSID = "AC22222222222222222222222222222222"
	dublinKeySID     = "SK22222222222222222222222222222222"
	dublinKeySecret  = "DublinKeyOfTheEndToEndTests00002"
)

// e2eConfig is the beginning of every configuration here: issuers and rules
// follow.
const e2eConfig = `version: 1
server:
  listen: %[1]s
  admin_listen: %[2]s
  public_url: http://%[1]s
  allowed_origins: [https://app.example.com]
accounts:
  - name: main
    account_sid: {env: MAIN_ACCOUNT_SID}
    api_key_sid: {env: MAIN_KEY_SID}
    api_key_secret: {env: MAIN_KEY_SECRET}
  - name: dublin
    account_sid: {env: DUBLIN_ACCOUNT_SID}
    api_key_sid: {env: DUBLIN_KEY_SID}
    api_key_secret: {env: DUBLIN_KEY_SECRET}
    region: ie1
limits: {per_ip: off, per_subject: off, failures_per_ip: off}
`

// TestEndToEnd runs the program, built, as a process of its own, between real
// and independent parts: an OpenID provider, an OAuth client, a JWT library and
// Twilio's own.
func TestEndToEnd(t *testing.T) {
	e := endToEnd{program: build(t)}
	t.Run("login", e.login)
	t.Run("issuers", e.issuers)
	t.Run("parity", e.parity)
	t.Run("browser", e.browser)
	t.Run("rotation", e.rotation)
	t.Run("logout", e.logout)
	t.Run("reload", e.reload)
	t.Run("faults", e.faults)
}

type endToEnd struct{ program string }

// build builds the program, with the race detector where the tests have it.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "twilio-sts")
	args := []string{"build", "-o", program}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// login follows one person from the provider's login page to access tokens, by
// both forms of the request.
func (e endToEnd) login(t *testing.T) {
	needNode(t)
	idp := newProvider(t)
	idp.start(t, newPrivateJWK(t, "k1"))
	s := e.serve(t, fmt.Sprintf(`
issuers:
  - name: op
    issuer: %s
    audiences: [spa]
    claims: {groups: list(string)}
    identity: "op_${escape(claims.sub)}"
parameters:
  room: {pattern: "[a-z]{1,8}"}
rules:
  - name: support
    when: "'support' in claims.groups && claims.email.endsWith('@example.com') && claims.email_verified"
    ttl: 4h
    grants:
      video: {room: "${request.room}"}
      chat: {service_sid: IS00000000000000000000000000000000}
`, idp.issuer))

	alice := idp.login(t, "spa", "alice")
	var byClient struct{ Metadata, Answer map[string]any }
	node(t, "exchange.mjs", map[string]any{"issuer": s.url, "clientId": "spa", "idToken": alice, "parameters": map[string]string{"room": "lobby"}}, &byClient)
	status, byBearer := s.exchange(t, alice, map[string]string{"room": "lobby"})
	if status != http.StatusOK {
		t.Fatalf("status %d: %v", status, byBearer)
	}
	grants := map[string]any{
		"video": map[string]any{"room": "lobby"},
		"chat":  map[string]any{"service_sid": "IS00000000000000000000000000000000"},
	}
	want := map[string]any{
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"expires_in":        14400.0, "refresh_in": 12960.0, "scope": "chat video",
		"identity": "op_alice", "grants": grants, "region": "us1",
	}
	var tokens []any
	for _, answer := range []struct {
		name, tokenType string
		got             map[string]any
	}{
		{"client", "bearer", byClient.Answer}, // the client writes it small
		{"shorthand", "Bearer", byBearer},
	} {
		tokens = append(tokens, answer.got["access_token"])
		want["access_token"], want["token_type"] = answer.got["access_token"], answer.tokenType
		if diff := cmp.Diff(want, answer.got); diff != "" {
			t.Errorf("%s: answer (-want +got):\n%s", answer.name, diff)
		}
	}

	for _, v := range verify(t, mainKeySecret, tokens...) {
		if diff := cmp.Diff(map[string]any{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}, v.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		iat, _ := v.Payload["iat"].(float64)
		if jti, _ := v.Payload["jti"].(string); !regexp.MustCompile(`^` + mainKeySID + `-[0-9a-f]{32}$`).MatchString(jti) {
			t.Errorf("jti %q", jti)
		}
		delete(v.Payload, "jti")
		want := map[string]any{
			"iss": mainKeySID, "sub": mainAccountSID, "iat": iat, "exp": iat + 14400,
			"grants": map[string]any{"identity": "op_alice", "video": grants["video"], "chat": grants["chat"]},
		}
		if diff := cmp.Diff(want, v.Payload); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
	}

	// The client compares issuers as URLs; RFC 8414 §3.3 wants them equal byte
	// for byte.
	metadata := map[string]any{
		"issuer": s.url, "token_endpoint": s.url + "/token",
		"grant_types_supported":                 []any{"urn:ietf:params:oauth:grant-type:token-exchange"},
		"token_endpoint_auth_methods_supported": []any{"none"},
		"scopes_supported":                      []any{"voice", "video", "chat", "sync", "task_router"},
	}
	if diff := cmp.Diff(metadata, byClient.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}

	// Who is let in by no rule learns it in words that a strict client reads.
	var refused map[string]any
	node(t, "exchange.mjs", map[string]any{"issuer": s.url, "clientId": "spa", "idToken": idp.login(t, "spa", "bob")}, &refused)
	wantRefusal(t, "nothing is granted to this person", "no_rule", "forbidden", int(refused["status"].(float64)), refused["body"].(map[string]any))
}

// faults runs the built program with a configuration that has five faults.
func (e endToEnd) faults(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), `version: 1
accounts:
  - name: main
    account_sid: AC00000000000000000000000000000000
    api_key_sid: AC00000000000000000000000000000000
    api_key_secret: {env: NOT_SET}
issuers:
  - name: op
    issuer: https://op.example/
    audience: [spa]
    audiences: [spa]
    identity: "op_${escape(claims.sub)}"
rules:
  - name: everyone
    when: "true"
    ttl: 25h
    grants:
      chat: {service_sid: "${claim.service}"}
`)
	const want = `config.yaml:5:18: accounts[0].api_key_sid: this is not a SID of kind SK [invalid-sid]
    5 |     api_key_sid: AC00000000000000000000000000000000
      |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   hint: the account's SID begins with AC, the API key's with SK
config.yaml:6:27: accounts[0].api_key_secret.env: the variable NOT_SET is not set [unset-variable]
    6 |     api_key_secret: {env: NOT_SET}
      |                           ^^^^^^^
   hint: where there are no secrets, check, test, explain and diff go on without it: --no-secrets
config.yaml:10:5: issuers[0].audience: "audience" is not a key here [unknown-key]
   10 |     audience: [spa]
      |     ^^^^^^^^
   hint: did you mean audiences?
config.yaml:16:10: rules[0].ttl: this is longer than 23h59m59s [ttl-too-long]
   16 |     ttl: 25h
      |          ^^^
   hint: Twilio takes less than 24h, and tokens.max_ttl may say less
config.yaml:18:30: rules[0].grants.chat.service_sid: unknown name "claim" [unknown-name]
   18 |       chat: {service_sid: "${claim.service}"}
      |                              ^^^^^
   hint: did you mean claims?
`
	for _, test := range []struct{ command, stdout, stderr string }{
		{"serve", "", want},
		{"check", want, ""},
	} {
		t.Run(test.command, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(bounded(t), e.program, test.command, "--config", "config.yaml")
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			if diff := cmp.Diff(test.stdout, stdout.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.stderr, stderr.String()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
		})
	}
}

// needNode skips a test where the independent parts are not installed.
func needNode(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(nodeParts, "node_modules"))
	}
	if err == nil {
		return
	}
	const missing = "needs Node and: npm ci --prefix cmd/twilio-sts/testdata/node"
	if os.Getenv("TWILIO_STS_REQUIRE") == "all" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), e2eWait)
	t.Cleanup(cancel)
	return ctx
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// freeAddress returns a loopback address that nobody listens on. Its port is
// below those that systems give out by themselves, so that it stays free.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+randv2.IntN(10000)))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// node runs a script with input as JSON, and reads its JSON into output.
func node(t *testing.T, script string, input, output any) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(bounded(t), "node", script)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = nodeParts, bytes.NewReader(toJSON(t, input)), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.Bytes())
	}
	if err := json.Unmarshal(stdout.Bytes(), output); err != nil {
		t.Fatalf("%s: %v in %s", script, err, stdout.Bytes())
	}
}

// A decoded is an access token as another library reads it.
type decoded struct{ Header, Payload map[string]any }

// verify verifies access tokens by an independent library.
func verify(t *testing.T, secret string, tokens ...any) []decoded {
	t.Helper()
	input := make([]map[string]any, len(tokens))
	for i, token := range tokens {
		input[i] = map[string]any{"token": token, "secret": secret}
	}
	var verified []decoded
	node(t, "verify.mjs", input, &verified)
	if len(verified) != len(tokens) {
		t.Fatalf("%d of %d tokens were verified", len(verified), len(tokens))
	}
	return verified
}

// A service is a running twilio-sts serve.
type service struct {
	url    string
	exited chan struct{}
	client http.Client
}

// serve runs the program until the end of the test, when it is to end well
// and without having logged an error.
func (e endToEnd) serve(t *testing.T, issuersAndRules string) *service {
	t.Helper()
	return e.serveAt(t, freeAddress(t), issuersAndRules)
}

func (e endToEnd) serveAt(t *testing.T, listen, issuersAndRules string) *service {
	t.Helper()
	admin := freeAddress(t)
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, fmt.Sprintf(e2eConfig, listen, admin)+issuersAndRules)

	var stderr bytes.Buffer
	cmd := exec.Command(e.program, "serve", "--config", path)
	cmd.Env = []string{
		"MAIN_ACCOUNT_SID=" + mainAccountSID, "MAIN_KEY_SID=" + mainKeySID, "MAIN_KEY_SECRET=" + mainKeySecret,
		"DUBLIN_ACCOUNT_SID=" + dublinAccountSID, "DUBLIN_KEY_SID=" + dublinKeySID, "DUBLIN_KEY_SECRET=" + dublinKeySecret,
	}
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &service{url: "http://" + listen, exited: make(chan struct{}), client: http.Client{Timeout: e2eWait}}
	go func() {
		cmd.Wait() // how it ended is in cmd.ProcessState
		close(s.exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		kill := time.AfterFunc(e2eWait, func() { cmd.Process.Kill() })
		<-s.exited
		kill.Stop()
		if !cmd.ProcessState.Success() {
			t.Errorf("serve: %v, want exit code 0 after SIGTERM", cmd.ProcessState)
		}
		if strings.Contains(stderr.String(), `"level":"ERROR"`) {
			t.Error("serve logged an error")
		}
		if t.Failed() {
			t.Logf("serve:\n%s", stderr.Bytes())
		}
	})
	await(t, s.exited, "serve is not ready", func() bool {
		resp, err := s.client.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

// await asks until the answer is yes, for as long as the process that can
// answer has not exited.
func await(t *testing.T, exited <-chan struct{}, otherwise string, yes func() bool) {
	t.Helper()
	deadline, tick := time.After(e2eWait), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-exited:
			t.Fatal(otherwise + ": the process ended")
		case <-deadline:
			t.Fatal(otherwise)
		case <-tick.C:
		}
	}
}

// exchange exchanges an ID token by the bearer shorthand.
func (s *service) exchange(t *testing.T, idToken string, parameters map[string]string) (status int, body map[string]any) {
	t.Helper()
	status, body, err := s.post(idToken, parameters)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func (s *service) post(idToken string, parameters map[string]string) (status int, body map[string]any, err error) {
	form := url.Values{}
	for name, value := range parameters {
		form.Set(name, value)
	}
	req, err := http.NewRequest(http.MethodPost, s.url+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+idToken)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, body, json.NewDecoder(resp.Body).Decode(&body)
}

// wantRefusal compares a refusal with status 400 as a whole, but for its trace
// id.
func wantRefusal(t *testing.T, description, reason, action string, status int, body map[string]any) {
	t.Helper()
	if id, _ := body["trace_id"].(string); !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) {
		t.Errorf("trace_id %q", id)
	}
	delete(body, "trace_id")
	want := map[string]any{"error": "invalid_request", "error_description": description, "reason": reason, "action": action}
	if diff := cmp.Diff(want, body); diff != "" || status != http.StatusBadRequest {
		t.Errorf("status %d, body (-want +got):\n%s", status, diff)
	}
}

// A provider is a real OpenID provider, in a process that can be killed and
// started again in the same place.
type provider struct {
	issuer  string
	port    int
	clients []map[string]any // metadata
	cmd     *exec.Cmd        // nil: not running
	said    chan struct{}    // closed when cmd has said all it will
	stderr  bytes.Buffer
	fetches atomic.Int64 // of its keys, by the service
}

// newProvider returns a provider that is not running yet. It has a client, spa,
// and another one, and knows alice and bob.
func newProvider(t *testing.T) *provider {
	t.Helper()
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{issuer: "http://" + address, clients: []map[string]any{{"client_id": "spa"}, {"client_id": "other-app"}}}
	if p.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("provider:\n%s", p.stderr.Bytes())
		}
	})
	return p
}

// start runs the provider with the given private keys, of which the first
// signs, and waits until it listens.
func (p *provider) start(t *testing.T, keys ...map[string]any) {
	t.Helper()
	p.cmd, p.said = exec.Command("node", "idp.mjs"), make(chan struct{})
	p.cmd.Dir, p.cmd.Stderr = nodeParts, &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// It ends with its standard input: it outlives no test, however that ends.
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		t.Fatal(err)
	}
	listening := make(chan struct{})
	go func(said chan struct{}) {
		defer close(said)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			switch lines.Text() {
			case "issuer " + p.issuer:
				close(listening)
			case "jwks twilio-sts":
				p.fetches.Add(1)
			}
		}
	}(p.said)
	input := toJSON(t, map[string]any{
		"port":    p.port,
		"jwks":    map[string]any{"keys": keys},
		"clients": p.clients,
		"accounts": map[string]any{
			"alice": map[string]any{"email": "alice@example.com", "email_verified": true, "groups": []string{"support"}},
			"bob":   map[string]any{"email": "bob@example.com", "email_verified": false, "groups": []string{}},
		},
	})
	if _, err := stdin.Write(append(input, '\n')); err != nil {
		t.Fatal(err)
	}
	select {
	case <-listening:
	case <-p.said:
		t.Fatal("the provider ended")
	case <-time.After(e2eWait):
		t.Fatal("the provider does not listen")
	}
}

// kill ends the provider's process, and returns how often the service fetched
// its keys in all its runs.
func (p *provider) kill() (fetches int64) {
	if p.cmd != nil {
		p.cmd.Process.Kill() // it may have ended
		<-p.said
		p.cmd.Wait() // its error is that it was killed
		p.cmd = nil
	}
	return p.fetches.Load()
}

// newPrivateJWK returns a private key as RFC 7517 and RFC 7518 §6.3.2 write it.
func newPrivateJWK(t *testing.T, kid string) map[string]any {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwk := map[string]any{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256"}
	for name, n := range map[string]*big.Int{
		"n": key.N, "e": big.NewInt(int64(key.E)), "d": key.D, "p": key.Primes[0], "q": key.Primes[1],
		"dp": key.Precomputed.Dp, "dq": key.Precomputed.Dq, "qi": key.Precomputed.Qinv,
	} {
		jwk[name] = base64url(n.Bytes())
	}
	return jwk
}

// login signs a person in at the provider as an app does it, by authorization
// code with PKCE, and returns the ID token.
func (p *provider) login(t *testing.T, clientID, account string) string {
	t.Helper()
	return p.loginIn(t, newBrowser(t), clientID, account)
}

// loginIn signs a person in in a browser of theirs.
func (p *provider) loginIn(t *testing.T, browser *http.Client, clientID, account string) string {
	t.Helper()
	ctx := bounded(t)
	op, err := oidc.NewProvider(ctx, p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	app := oauth2.Config{ClientID: clientID, RedirectURL: appURL, Scopes: []string{"openid"}, Endpoint: op.Endpoint()}
	app.Endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client has no secret
	verifier, state, nonce := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	back := signInAt(t, browser, app.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), account)
	if back.Get("state") != state {
		t.Fatalf("the provider sent back %v", back)
	}
	token, err := app.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := op.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Nonce != nonce || idToken.Subject != account {
		t.Fatalf("the ID token is of %q", idToken.Subject)
	}
	return raw
}

var promptField = regexp.MustCompile(`name="prompt" value="(login|consent)"`)

// appURL is where the provider sends people back to the app.
const appURL = "http://127.0.0.1/callback"

// newBrowser returns a client that keeps cookies and stops where the app is.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: e2eWait, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), appURL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// signInAt fills in the provider's pages as a person does in a browser, and
// returns what the provider sends back to the app.
func signInAt(t *testing.T, browser *http.Client, authURL, account string) url.Values {
	t.Helper()
	resp, err := browser.Get(authURL)
	for range 3 { // login, consent, and back
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(resp.Body) // what is missing of it is missed below
		resp.Body.Close()
		if back, err := resp.Location(); err == nil {
			return back.Query()
		}
		prompt := promptField.FindSubmatch(page)
		if prompt == nil {
			t.Fatalf("the provider answered %s:\n%s", resp.Status, page)
		}
		form := url.Values{"prompt": {string(prompt[1])}, "login": {account}, "password": {"any"}}
		resp, err = browser.PostForm(resp.Request.URL.String(), form)
	}
	t.Fatal("the provider's pages do not end")
	return nil
}
