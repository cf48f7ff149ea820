package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

const decisionConfig = `version: 1
server: {listen: %q, admin_listen: %q%s}
accounts:
  - name: main
    account_sid: AC11111111111111111111111111111111
    api_key_sid: SK11111111111111111111111111111111
    api_key_secret: {env: ANY}
issuers:
  - name: idp
    issuer: https://idp.example.com
    audiences: [app]
    algorithms: [ES256]
    jwks_file: keys.json
    claims: {groups: list(string), level: int}
    identity: "idp__${escape(claims.sub)}"
parameters:
  room: {pattern: "[a-z]{1,8}"}
  platform: {enum: [ios, web], default: web}
audit: {key: {env: ANY}, claims: [level, request.room]%s}
rules:
  - name: suspended
    when: "'suspended' in claims.?groups.orValue([])"
    deny: account suspended
  - name: staff
    when: "'staff' in claims.groups && claims.level > 5"
    ttl: 4h
    grants: {video: {room: lobby}}
  - name: everyone
    when: "claims.email_verified"
    grants: {chat: {service_sid: IS00000000000000000000000000000000}}
`

const decisionToken = "TheAdminTokenOfTheseTests01"

var decisionTime = time.Unix(1_780_000_000, 0)

// decisionEnv is the environment of the service.
func decisionEnv(name string) (string, bool) {
	return "ASecretOfTheseTestsAlone00000001", name == "ANY"
}

// A replica is a running service.
type replica struct {
	path       string // of its configuration
	hash       string
	url, admin string
	key        *exchangetest.Key
	client     *http.Client
}

// newReplica runs a service; server and audit are more of these sections.
func newReplica(t *testing.T, server, audit string) *replica {
	t.Helper()
	dir := t.TempDir()
	r := &replica{path: filepath.Join(dir, "config.yaml"), key: exchangetest.NewKey(t, "ES256", "k1"), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	keys, err := json.Marshal(map[string]any{"keys": []any{r.key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	r.url, r.admin = "http://"+listeners[0].Addr().String(), "http://"+listeners[1].Addr().String()
	for name, text := range map[string]string{
		"keys.json": string(keys), "admin.token": decisionToken + "\n",
		"config.yaml": fmt.Sprintf(decisionConfig, listeners[0].Addr(), listeners[1].Addr(), server, audit),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(r.path, config.Options{Getenv: decisionEnv})
	if err != nil {
		t.Fatal(err)
	}
	r.hash = cfg.Hash
	service, err := exchange.New(cfg, exchange.Options{
		Now:  func() time.Time { return decisionTime },
		Rand: bytes.NewReader(make([]byte, 1024)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, listeners[0], listeners[1]) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	return r
}

// exchange asks for a token, under a trace id.
func (r *replica) exchange(t *testing.T, key *exchangetest.Key, claims map[string]any, form, traceID string) {
	t.Helper()
	all := map[string]any{"iss": "https://idp.example.com", "aud": "app", "iat": decisionTime.Unix(), "exp": decisionTime.Unix() + 3600, "sub": "ada"}
	for name, value := range claims {
		all[name] = value
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/token", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key.Token(all))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusInternalServerError {
		t.Fatal("the service failed")
	}
}

// explain runs the command in an environment that may have an admin token.
func explain(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &err, now: time.Now, getenv: func(name string) (string, bool) {
		if value, ok := env[name]; ok {
			return value, true
		}
		return decisionEnv(name)
	}}
	code = p.run(t.Context(), append([]string{"explain"}, args...))
	return code, out.String(), err.String()
}

// traceID returns one for a number.
func traceID(n int) string { return fmt.Sprintf("%032x", n) }

func TestExplainDecision(t *testing.T) {
	t.Parallel()
	r := newReplica(t, "", "")
	stranger := exchangetest.NewKey(t, "ES256", "k1")
	verified := func(more string) string {
		return fmt.Sprintf(`2026-05-28T20:26:40Z, by configuration %.12s
the token verified
issuer idp, client app, address 127.0.0.1, subject hash %s
  aud unknown (string)
`, r.hash, subjectHash(t, r)) + more
	}
	for i, test := range []struct {
		name   string
		key    *exchangetest.Key
		claims map[string]any
		form   string
		code   int
		want   string
	}{
		{"granted", r.key, map[string]any{"groups": []string{"staff"}, "level": 6, "email_verified": true}, "room=attic&scope=chat", exitFine, verified(`  email_verified unknown (bool)
  exp unknown (int)
  groups unknown (list)
  iat unknown (int)
  iss unknown (string)
  level 6
  sub unknown (string)
  request.platform unknown (string)
  request.room "attic"

granted
  rules     staff, everyone
  ttl       4h0m0s
  grants    chat
  jti       SK11111111111111111111111111111111-00000000000000000000000000000000
`)},
		{"denied", r.key, map[string]any{"groups": []string{"suspended"}}, "", exitProblems, verified(`  exp unknown (int)
  groups unknown (list)
  iat unknown (int)
  iss unknown (string)
  sub unknown (string)
  request.platform unknown (string)

rules
  ✓ suspended (deny) — account suspended
  · staff — not reached
  · everyone — not reached

refused: denied: rule "suspended" denies: account suspended
`)},
		{"no rule", r.key, map[string]any{"groups": []string{"staff"}, "level": 5}, "", exitProblems, verified(`  exp unknown (int)
  groups unknown (list)
  iat unknown (int)
  iss unknown (string)
  level 5
  sub unknown (string)
  request.platform unknown (string)

rules
  ✗ suspended (deny)
      ✗ 'suspended' in claims.?groups.orValue([])
  ✗ staff
      ✓ 'staff' in claims.groups
      ✗ claims.level > 5
  ? everyone
      ? claims.email_verified — undecided: claim "email_verified" is absent

refused: no_rule: no rule that matches grants anything
closest is staff, which sets ttl, video, but:
  ✗ claims.level > 5
`)},
		{"forged", stranger, nil, "", exitProblems, fmt.Sprintf(`2026-05-28T20:26:40Z, by configuration %.12s
no token verified
issuer idp, kid k1, address 127.0.0.1

refused: bad_signature: the key that it names did not make the signature
`, r.hash)},
		{"malformed", r.key, nil, "room=attic&room=cellar", exitProblems, fmt.Sprintf(`2026-05-28T20:26:40Z, by configuration %.12s
no token verified
issuer unknown, kid unknown, address 127.0.0.1

refused: malformed_request: a parameter is repeated
`, r.hash)},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.exchange(t, test.key, test.claims, test.form, traceID(i+1))
			code, stdout, stderr := explain(t, nil, "--trace-id", traceID(i+1), "--admin", r.admin+"/")
			if diff := cmp.Diff(test.want, stdout); diff != "" || code != test.code || stderr != "" {
				t.Errorf("exit code %d, want %d; stderr %q; stdout (-want +got):\n%s", code, test.code, stderr, diff)
			}
			code, stdout, stderr = explain(t, nil, "--trace-id", traceID(i+1), "--admin", r.admin, "--json")
			if diff := cmp.Diff(indented(t, r.answer(t, traceID(i+1))), indented(t, stdout)); diff != "" || code != test.code || stderr != "" {
				t.Errorf("exit code %d, want %d; stderr %q; JSON (-want +got):\n%s", code, test.code, stderr, diff)
			}
		})
	}
}

// answer is what the admin listener says of a trace id.
func (r *replica) answer(t *testing.T, traceID string) string {
	t.Helper()
	resp, err := r.client.Get(r.admin + "/decisions/" + traceID)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %v", resp.Status, body, err)
	}
	return string(body)
}

// subjectHash is that of the one person of these tests.
func subjectHash(t *testing.T, r *replica) string {
	t.Helper()
	r.exchange(t, r.key, nil, "", traceID(0xada))
	var d exchange.Decision
	if err := json.Unmarshal([]byte(r.answer(t, traceID(0xada))), &d); err != nil {
		t.Fatal(err)
	}
	return d.Subject
}

// TestExplainPlainDecision has who may see subjects and identities.
func TestExplainPlainDecision(t *testing.T) {
	t.Parallel()
	r := newReplica(t, "", ", subjects: plain")
	r.exchange(t, r.key, map[string]any{"email_verified": true}, "", traceID(1))
	_, stdout, _ := explain(t, nil, "--trace-id", traceID(1), "--admin", r.admin)
	if !strings.Contains(stdout, "\n  sub \"ada\"\n") || !strings.Contains(stdout, "\n  identity  idp__ada\n") {
		t.Errorf("stdout: %s", stdout)
	}
}

// TestExplainFindsDecision asks several replicas, with and without a token.
func TestExplainFindsDecision(t *testing.T) {
	t.Parallel()
	open, empty, closed := newReplica(t, "", ""), newReplica(t, "", ""), newReplica(t, ", admin_token: {file: admin.token}", "")
	for _, r := range []*replica{open, closed} {
		r.exchange(t, r.key, map[string]any{"email_verified": true}, "", traceID(1))
	}
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + down.Addr().String()
	down.Close()
	env := map[string]string{"TWILIO_STS_ADMIN_TOKEN": decisionToken}
	refused := func(admin string) string {
		return "\n  " + admin + " could not be asked: dial tcp " + strings.TrimPrefix(admin, "http://") + ": connect: connection refused"
	}
	const (
		none         = " answered 404: no decision is kept under this trace id"
		unauthorized = " answered 401: this needs Authorization: Bearer and the token of server.admin_token; set TWILIO_STS_ADMIN_TOKEN, or name the configuration by --config"
		hint         = "twilio-sts: hint: a service remembers its last 1,000 since its start, each replica its own; the audit log has all\n"
	)
	failure := func(said string) string {
		return "twilio-sts: error: no decision was found for trace id " + traceID(1) + said + "\n"
	}
	for _, test := range []struct {
		name   string
		env    map[string]string
		args   []string
		code   int
		stderr string // "" where it is found
	}{
		{"the second has it", nil, []string{"--admin", empty.admin, "--admin", open.admin}, exitFine, ""},
		{"the first is gone", nil, []string{"--admin", gone, "--admin", open.admin}, exitFine, ""},
		{"by the configuration", nil, []string{"--config", open.path}, exitFine, ""},
		{"nobody has it", nil, []string{"--admin", empty.admin, "--admin", empty.admin}, exitProblems,
			failure("\n  "+empty.admin+none+"\n  "+empty.admin+none) + hint},
		{"one has not, one is gone", nil, []string{"--admin", empty.admin, "--admin", gone}, exitFailed,
			failure("\n  " + empty.admin + none + refused(gone))},
		{"the wrong listener", nil, []string{"--admin", open.url}, exitProblems,
			failure("\n  "+open.url+" answered 404: not found") + hint},

		{"token in the environment", env, []string{"--admin", closed.admin}, exitFine, ""},
		{"token in the configuration", nil, []string{"--config", closed.path}, exitFine, ""},
		{"token in the configuration, URL given", nil, []string{"--config", closed.path, "--admin", closed.admin}, exitFine, ""},
		{"a token for who needs none", env, []string{"--admin", open.admin}, exitFine, ""},
		{"no token", nil, []string{"--admin", closed.admin}, exitFailed, failure("\n  " + closed.admin + unauthorized)},
		{"the environment goes first", map[string]string{"TWILIO_STS_ADMIN_TOKEN": "another"}, []string{"--config", closed.path}, exitFailed,
			failure("\n  " + closed.admin + unauthorized)},
		{"no secrets", nil, []string{"--config", closed.path, "--no-secrets"}, exitFailed, failure("\n  " + closed.admin + unauthorized)},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := explain(t, test.env, append([]string{"--trace-id", traceID(1)}, test.args...)...)
			if diff := cmp.Diff(test.stderr, stderr); diff != "" || code != test.code {
				t.Errorf("exit code %d, want %d; stderr (-want +got):\n%s", code, test.code, diff)
			}
			if found := strings.Contains(stdout, "\ngranted\n"); found != (test.stderr == "") {
				t.Errorf("stdout: %s", stdout)
			}
		})
	}
}

// TestExplainTellsNobodyElse has the token not follow a redirect, and an answer
// that is none be said.
func TestExplainTellsNobodyElse(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if strings.HasPrefix(r.URL.Path, "/redirect") {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		io.WriteString(w, `{"status":"alive"}`)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	admin := "http://" + l.Addr().String()
	for path, want := range map[string]string{
		"/redirect": "no decision was found for trace id " + traceID(1) + "\n  " + admin + "/redirect answered 302",
		"":          "what the service answered is no decision; are its version and this one the same?",
	} {
		code, stdout, stderr := explain(t, map[string]string{"TWILIO_STS_ADMIN_TOKEN": decisionToken}, "--trace-id", traceID(1), "--admin", admin+path)
		if code != exitFailed || stdout != "" || stderr != "twilio-sts: error: "+want+"\n" {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", path, code, stdout, stderr)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("it was asked %d times", n)
	}
}
